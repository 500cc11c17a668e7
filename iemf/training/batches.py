"""Batches of data that lie ready as rows: each process its share, the next one read while one is worked on."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import TypeVar

import torch
from accelerate import Accelerator

from iemf.ahead import read_ahead

Part = TypeVar("Part", bound=Sequence[int])
Batch = TypeVar("Batch", bound=tuple)


def share(parts: Sequence[Part], accelerator: Accelerator, *, even: bool) -> list[Part]:
    """This process's part of the batches, in turn.

    Args:
        parts: rows of each batch.
        even: repeat the first ones until every process has as many: a training step is taken together.
    """
    parts, count = list(parts), accelerator.num_processes
    if even:
        parts += islice(cycle(list(parts)), -len(parts) % count)  # there may be fewer parts than processes
    return parts[accelerator.process_index :: count]


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
