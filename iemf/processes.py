"""What several processes of one run share."""

import multiprocessing
import os
import threading

import torch
from torch import Tensor


def begin_worker(threads: int) -> None:
    """The first thing that a process of a pool does: take its share of the cores, and end when its parent has ended.

    A worker whose parent was killed would otherwise go on with what is queued, and then wait for ever.
    """
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum of ``x`` over all processes of a distributed run; ``x`` itself where there is one process.

    Everything that is a statistic of the global batch goes through here. It asks ``torch.distributed``, which
    Accelerate sets up: ``accelerate.utils.reduce`` would overlook a group that a user's own program has made.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        x = x.clone()
        torch.distributed.all_reduce(x)
    return x
