"""Batches of data that lie ready as rows: each process its share, the next one read while one is worked on."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor

from iemf.ahead import read_ahead
from iemf.processes import sum_over_processes

Part = TypeVar("Part", bound=Sequence[int])
Batch = TypeVar("Batch", bound=tuple)


def global_batches(rows: Sequence[int], batch_size: int, accelerator: Accelerator, least: int = 1) -> list[list[int]]:
    """Of an epoch: what all processes together learn from in each step, ``batch_size`` rows a process.

    So P processes see the batches of one process with P times the batch size, every row once. Of the last batch, which
    may be smaller, each process has its part too, of ``least`` rows or more: where there are not as many, it is left
    out, as one process leaves out a batch of less than ``least``. Too few rows for a single step are repeated.
    """
    rows, processes = list(rows), accelerator.num_processes
    size, fewest = batch_size * processes, least * processes
    if processes > 1 and rows and len(rows) < fewest:
        rows = list(islice(cycle(rows), fewest))
    if 0 < len(rows) % size < fewest:
        rows = rows[: len(rows) - len(rows) % size]
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def own_part(batch: Sequence[int], accelerator: Accelerator) -> list[int]:
    """This process's rows of a global batch; parts lie one behind the other and differ by one row at most."""
    rank, processes = accelerator.process_index, accelerator.num_processes
    return list(batch[len(batch) * rank // processes : len(batch) * (rank + 1) // processes])


def weight_of_part(samples: int, device: torch.device) -> Tensor:
    """P·B_p / ΣB, 0-dim: with it a process's mean over its B_p samples, averaged over processes as gradients are, is
    the mean over the global batch. 1 where all have as many."""
    found = sum_over_processes(torch.tensor([samples, 1.0], device=device))
    return samples * found[1] / found[0]


def in_turn(parts: Sequence[Part], accelerator: Accelerator) -> list[Part]:
    """This process's batches of an evaluation, which processes share in turn; it may have one less than others."""
    return list(parts)[accelerator.process_index :: accelerator.num_processes]


def read_batches(
    read: Callable[[Part], Batch], parts: Sequence[Part], device: torch.device
) -> Iterator[Batch]:  # fmt: skip
    """``read`` of each part, a named tuple of tensors, on the device and with features in float32.

    The next is read, and pinned for a GPU, in a thread.
    """

    def pinned(part: Part) -> Batch:
        batch = read(part)
        if device.type != "cuda":
            return batch
        return type(batch)(*(tensor if tensor.is_pinned() else tensor.pin_memory() for tensor in batch))

    for batch in read_ahead(parts, pinned):
        tensors = (tensor.to(device, non_blocking=True) for tensor in batch)
        yield type(batch)(*(tensor.float() if tensor.is_floating_point() else tensor for tensor in tensors))
