"""What several processes of one run share."""

from collections.abc import Iterable

import torch
from torch import Tensor


def _together() -> bool:
    """It asks ``torch.distributed``, which Accelerate sets up: ``accelerate.utils.reduce`` would overlook a group that
    a user's own program has made."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum of ``x`` over all processes of a distributed run; ``x`` itself where there is one process.

    Everything that is a statistic of the global batch goes through here.
    """
    if _together():
        x = x.clone()
        torch.distributed.all_reduce(x)
    return x


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Every process gets the first one's values, in place."""
    if _together():
        for tensor in tensors:
            torch.distributed.broadcast(tensor, 0)
