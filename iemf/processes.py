"""What several processes of one run share. With one process every function here gives back what it got."""

import os
from collections.abc import Iterable

import torch
from torch import Tensor


def launched() -> int:
    """How many processes a launcher (``torchrun``, ``accelerate launch``) has started this program as; 1 without."""
    said = os.environ.get("WORLD_SIZE", "")
    return int(said) if said.isdecimal() and int(said) > 0 else 1


def is_first() -> bool:
    """Whether this process is the first of them, or the only one."""
    return launched() == 1 or os.environ.get("RANK") == "0"


def together() -> bool:
    """Whether several processes are at work. It asks ``torch.distributed``, which Accelerate sets up:
    ``accelerate.utils.reduce`` would overlook a group that a user's own program has made."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum of ``x`` over all processes of a distributed run; ``x`` itself where there is one process.

    Everything that is a statistic of the global batch goes through here.
    """
    if together():
        x = x.clone()
        torch.distributed.all_reduce(x)
    return x


def stack_of_processes(x: Tensor) -> Tensor:
    """[P, ...]: ``x`` of every process in order, of one shape everywhere; without gradient."""
    if not together():
        return x[None]
    found = [torch.empty_like(x, memory_format=torch.contiguous_format)
             for _ in range(torch.distributed.get_world_size())]  # fmt: skip
    torch.distributed.all_gather(found, x.contiguous())
    return torch.stack(found)


def rows_of_processes(x: Tensor) -> Tensor:
    """[ΣB, ...]: the rows [B, ...] of every process in order; there may be more of them here than there.

    It carries a gradient, the sum over the processes' losses. Where each process has a loss of all rows, that is P
    times the gradient of one such loss, and DistributedDataParallel, which averages over processes, sets it right.
    """
    if not together():
        return x
    counts = stack_of_processes(torch.tensor(len(x), device=x.device)).tolist()
    return _Rows.apply(x, counts)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, counts: list[int]) -> Tensor:
        before = sum(counts[: torch.distributed.get_rank()])
        ctx.own = slice(before, before + len(x))
        padded = x.new_zeros(max(counts), *x.shape[1:])
        padded[: len(x)] = x
        found = stack_of_processes(padded)
        return torch.cat([rows[:count] for rows, count in zip(found, counts, strict=True)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return sum_over_processes(grad.contiguous())[ctx.own], None


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Every process gets the first one's values, in place."""
    if together():
        for tensor in tensors:
            torch.distributed.broadcast(tensor, 0)
