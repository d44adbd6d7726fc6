#!/usr/bin/python3
"""A rank of a training of two, for tests/train/test_ranks.c: python_ranks.py WHAT RANK FILE NAME.
Exit 77: no torch here."""
import sys

try:
    import torch
    import torch.distributed as dist
except ImportError as why:
    print(f"python_ranks.py: skipped: {why}")
    sys.exit(77)

import ssltop
from ssltop import _run

ROUNDS = 40  # of a pause, that a test wants to see
STEPS = 6


def follows(rank, file, name):
    """Until it is told to stop. What it saw goes to FILE.RANK; once it has agreed ROUNDS times on
    staying paused there is FILE.RANK.paused."""
    _run.PAUSED_MS = 5
    w = ssltop.init(name, whole=True)
    saved, rounds = [], []
    w.on("checkpoint", saved.append)
    s = w.sampler(1000, 10, steps=1000000, chunks=4)
    agree = w._who().agree

    def count(numbers):
        said = agree(numbers)
        rounds.append(w.made)
        if rounds.count(w.made) == ROUNDS:
            open(f"{file}.{rank}.paused", "w", encoding="ascii").close()
        return said

    w._who().agree = count
    seen = []
    for batch in s:
        seen.append(torch.tensor(batch))
        h = torch.zeros(1)
        dist.all_reduce(h)  # the script's own
        w.step(loss=1, h=torch.randn(5, 4) + rank)
        del rounds[:]
        if w.stop:
            break
    w.finish()
    assert len(seen) == w.made and (w.run != "") == (rank == 0)
    # Both halves of a batch, and the same modes.
    both = [torch.zeros(5, dtype=torch.long) for _ in range(2)]
    for step in (0, w.made - 1):
        dist.all_gather(both, seen[step])
        if rank == 0:
            whole = (ssltop.Sampler.at(s, step), torch.cat(both).tolist())
            assert whole[0] == whole[1][:5] and len(set(whole[1])) == 10
    with open(f"{file}.{rank}", "w", encoding="ascii") as f:
        print(w.made, saved, s.state_dict()["plan"], file=f)


def share(x, rank):
    """Rows of a rank: not as many for each."""
    return {0: x[:, :5], 1: x[:, 5:], None: x}[rank]


def gathers(rank, file, name):
    """Features of both ranks; alone (no rank) the same features in one piece."""
    w = ssltop.init(name, gather=True, whole=True)
    module = torch.nn.Identity().train()
    w.watch(h=module, joined=True)
    for step in range(STEPS):
        draw = torch.Generator().manual_seed(step)
        h, z = torch.randn(2, 9, 8, generator=draw), torch.randn(2, 9, 4, generator=draw)
        h, z = share(h, rank), share(z, rank).to(torch.bfloat16)
        module(torch.cat((h[0], h[1])))
        if rank is None:
            w.step(loss=1, z=(z[0], z[1]))
        else:  # whatever holds them
            w.step(loss=1, z=(z[0], z[1].t().contiguous().t()))
    # What does not go together is left out, and nobody waits for the other.
    w.step(loss=1, h=torch.randn(3, 8 if rank else 7))
    w.step(loss=1, **({"z": torch.randn(3, 4)} if rank else {}))
    w.finish()


if __name__ == "__main__":
    what, ranks, meeting, run = sys.argv[1:]
    torch.set_num_threads(1)
    mine = None if ranks == "alone" else int(ranks)
    if mine is not None:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=mine, world_size=2)
    globals()[what](mine, meeting, run)
