"""What several processes of one run share."""

import torch
from torch import Tensor


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum of ``x`` over all processes of a distributed run; ``x`` itself where there is one process.

    Everything that is a statistic of the global batch goes through here. It asks ``torch.distributed``, which
    Accelerate sets up: ``accelerate.utils.reduce`` would overlook a group that a user's own program has made.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        x = x.clone()
        torch.distributed.all_reduce(x)
    return x
