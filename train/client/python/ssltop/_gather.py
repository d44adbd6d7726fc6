"""Features of all ranks as those of one: gather=True.

Each rank says what it saw (on the host), then the rows travel: between GPUs where these have a
collective of their own, which no host waits for, else between hosts, as bytes, for gloo does not
know every type."""

import sys
import zlib

from ._rows import rows_of

_ENTRIES, _FACTS = 8, 4  # four places of two views; (name, n, d, type)


def _facts(seen):
    """What this rank saw, in an order that is every rank's."""
    entries = [(place, view, rows) for place in sorted(seen)
               for view, rows in enumerate(seen[place][:2])][:_ENTRIES]
    numbers = []
    for place, view, rows in entries:
        numbers += [zlib.crc32(f"{place} {view}".encode()), rows.n, rows.d, rows.type]
    return entries, numbers + [0] * (_ENTRIES * _FACTS - len(numbers))


def gather(among, seen, pinned, say):
    """{place: [rows of a view, ...]}, the rows of each rank behind those of the one before, of what
    this rank saw and the others too. All ranks come here at each step; what comes back is for rank
    0. Rows were made without buffers: theirs is the script's tensor."""
    entries, mine = _facts(seen)
    said = among.numbers(mine)
    out = {}
    for i in range(_ENTRIES):
        facts = [numbers[i * _FACTS:(i + 1) * _FACTS] for numbers in said]
        if not any(f[1] for f in facts):
            break
        if any((f[0], *f[2:]) != (facts[0][0], *facts[0][2:]) for f in facts):
            say("ranks hand over features of different names, widths or types: they are left out")
            break  # of the others nobody knows which is which
        place, _, rows = entries[i]
        if rows.changed():
            say(f"{place} was changed in place after the module gave it: watch a module behind "
                "that")
        whole = among.rows(rows.keep, [f[1] for f in facts])
        if whole is not None:
            out.setdefault(place, []).append(rows_of(whole, pinned))
    return out


def tensor_of(x):
    """What is no tensor of PyTorch's, as one."""
    torch = sys.modules["torch"]
    if hasattr(x, "__array_interface__") or not hasattr(x, "__dlpack__"):
        return torch.as_tensor(x)
    return torch.from_dlpack(x)


class Among:
    """What torch.distributed has for it; host: its group of gloo (None: the usual one)."""

    def __init__(self, dist, host):
        self._dist, self._host = dist, host
        self._on_device = "nccl" in str(dist.get_backend())
        self._rank, self._ranks = dist.get_rank(), dist.get_world_size()

    def numbers(self, numbers):
        torch = sys.modules["torch"]
        mine = torch.tensor(numbers, dtype=torch.int64)
        all_of_them = [torch.empty_like(mine) for _ in range(self._ranks)]
        self._dist.all_gather(all_of_them, mine, group=self._host)
        return [t.tolist() for t in all_of_them]

    def rows(self, x, counts):
        """n x d of every rank, counts[rank] rows each; None on the other ranks."""
        torch = sys.modules["torch"]
        most, d, kind = max(counts), x.shape[1], x.dtype
        if x.shape[0] < most:
            x = torch.cat([x, x.new_zeros(most - x.shape[0], d)])
        x = x.contiguous()
        if x.is_cuda and self._on_device:
            whole = x.new_empty(self._ranks * most, d)
            self._dist.all_gather_into_tensor(whole, x)
        else:
            x = x.cpu().view(torch.uint8)
            whole = x.new_empty(self._ranks, *x.shape) if self._rank == 0 else None
            self._dist.gather(x, list(whole.unbind(0)) if self._rank == 0 else None, dst=0,
                              group=self._host)
            whole = whole.view(kind).view(-1, d) if self._rank == 0 else None
        if self._rank:
            return None
        if min(counts) < most:
            whole = torch.cat([whole[r * most:r * most + n] for r, n in enumerate(counts)])
        return whole
