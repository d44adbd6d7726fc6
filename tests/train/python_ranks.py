#!/usr/bin/python3
"""A rank of a training of two, for tests/train/test_python.c: python_ranks.py RANK FILE NAME. What it
saw goes to FILE.RANK. Exit 77: no torch here."""
import sys

try:
    import torch
    import torch.distributed as dist
except ImportError as why:
    print(f"python_ranks.py: skipped: {why}")
    sys.exit(77)

import ssltop


def main(rank, file, name):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    w = ssltop.init(name)
    saved = []
    w.on("checkpoint", saved.append)
    s = w.sampler(1000, 10, steps=1000000, chunks=4)
    seen = []
    for batch in s:
        seen.append(torch.tensor(batch))
        h = torch.zeros(1)
        dist.all_reduce(h)  # the script's own
        w.step(loss=1, h=torch.randn(5, 4) + rank)
        while w._client and w._library.pending(w._client) > 4:
            pass
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


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
