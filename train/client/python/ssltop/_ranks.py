"""Several processes of one training: rank 0 records, all agree on what is ordered.

The agreement is the script's own collective (torch.distributed; a callable for others), on the
host: over NCCL alone a group of gloo beside it, so that no GPU is waited for."""

import os
import sys

from ._gather import Among


class Alone:
    rank, ranks = 0, 1


class Torch:
    """torch.distributed, which is up."""

    def __init__(self, dist):
        self._dist = dist
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        self._group = None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
        self.among = Among(dist, self._group)

    def agree(self, numbers):
        """What rank 0 says."""
        torch = sys.modules["torch"]
        t = torch.tensor(numbers, dtype=torch.float64)
        self._dist.broadcast(t, src=0, group=self._group)
        return t.tolist()

    def most(self, number):
        torch = sys.modules["torch"]
        t = torch.tensor([number], dtype=torch.float64)
        self._dist.all_reduce(t, op=self._dist.ReduceOp.MAX, group=self._group)
        return int(t.item())


class Other:
    """agree(numbers) -> those of rank 0."""

    def __init__(self, rank, ranks, agree):
        self.rank, self.ranks, self.agree = rank, ranks, agree

    def most(self, number):
        return int(self.agree([float(number)])[0])


def find(rank, agree):
    """Who this process is among those of its training."""
    torch = sys.modules.get("torch")
    dist = getattr(torch, "distributed", None)
    if agree is not None:
        return Other(rank or 0, int(os.environ.get("WORLD_SIZE", 1)), agree)
    if dist is not None and dist.is_available() and dist.is_initialized():
        return Torch(dist) if dist.get_world_size() > 1 else Alone()
    return Alone()
