"""What a data set hands to training: three splits of (audio, visual, label), and a front end for the device.

A data set with more modalities than these two has them behind the label.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, default_collate

from iemf.data import image
from iemf.seeds import Stream, mix_seed
from iemf.training.batches import global_batches, own_part


class Batch(NamedTuple):
    """audio [B, ...], visual [B, C, H, W] or [B, N, C, H, W], label [B] int64."""

    audio: Tensor
    visual: Tensor
    label: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """What the front end takes."""
        return self.audio, self.visual


class MultimodalBatch(NamedTuple):
    """Of more than two modalities: audio, visual and the others, [B, ...] each; label [B] int64."""

    inputs: tuple[Tensor, ...]
    label: Tensor


def batch_of(inputs: Sequence[Tensor], label: Tensor) -> Batch | MultimodalBatch:
    """From the modalities in order."""
    return Batch(*inputs, label) if len(inputs) == 2 else MultimodalBatch(tuple(inputs), label)


@dataclass
class AudioVisualData:
    """A data set ready to train on.

    ``front_end`` maps (audio, visual, ...) as the loader gives them to what the encoders take, on the device and once a
    batch; in training mode it may augment. ``set_epoch`` is called before every training epoch. ``further_channels``:
    those of the modalities beyond audio and visual, by name.
    """

    name: str
    classes: tuple[str, ...]
    train: Dataset
    val: Dataset
    test: Dataset
    audio_channels: int
    visual_channels: int
    front_end: nn.Module
    set_epoch: Callable[[int], None] = field(default=lambda epoch: None)
    about: dict = field(default_factory=dict)  # sizes and sources, for the record of a run
    further_channels: Mapping[str, int] = field(default_factory=dict)

    @property
    def channels(self) -> dict[str, int]:
        """Of every modality's input, by name, in the order of a batch."""
        return {"audio": self.audio_channels, "visual": self.visual_channels, **self.further_channels}


class KeepInputs(nn.Module):
    """The front end of data that come ready."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs


class EpochSampler(Sampler[int]):
    """A permutation of 0..n-1 that depends on (seed, epoch) alone, so a resumed run sees the order it would have."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mix_seed(Stream.ORDER, self.seed, self.epoch))
        return iter(torch.randperm(self.count, generator=generator).tolist())


def _collate(samples: Batch | MultimodalBatch | list) -> Batch | MultimodalBatch:
    """A data set with ``__getitems__`` returns a whole batch; others a list of samples."""
    if isinstance(samples, Batch | MultimodalBatch):
        return samples
    if isinstance(samples[0], MultimodalBatch):
        samples = [(*sample.inputs[:2], sample.label, *sample.inputs[2:]) for sample in samples]
    audio, visual, label, *further = zip(*samples, strict=True)
    others = map(default_collate, further)
    return batch_of((default_collate(audio), image.stack(visual), *others), default_collate(label))


class OwnBatches(Sampler[list[int]]):
    """This process's part of every global batch of a sampler's order.

    Args:
        sampler: of rows.
        batch_size, accelerator, least: as of :func:`iemf.training.batches.global_batches`.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, accelerator: Accelerator, least: int) -> None:
        self.sampler, self.batch_size, self.accelerator, self.least = sampler, batch_size, accelerator, least

    def _of(self, rows: Sequence[int]) -> list[list[int]]:
        return global_batches(rows, self.batch_size, self.accelerator, self.least)

    def __len__(self) -> int:
        return len(self._of(range(len(self.sampler))))

    def __iter__(self) -> Iterator[list[int]]:
        return (own_part(batch, self.accelerator) for batch in self._of(list(self.sampler)))


def training_loader(
    dataset: Dataset,
    batch_size: int,
    seed: int,
    workers: int = 0,
    whole_batches: bool = False,
    accelerator: Accelerator | None = None,
) -> tuple[DataLoader, EpochSampler]:
    """Shuffled batches, on the accelerator's device if there is one, and of several processes this one's.

    A last batch of one sample a process is left out: it has no batch statistics; with ``whole_batches`` any last batch
    that is not full is. Workers start anew each epoch, so that they see what ``set_epoch`` changed.
    """
    sampler = EpochSampler(len(dataset), seed)
    if accelerator is None:
        batches = BatchSampler(sampler, batch_size, drop_last=whole_batches or len(dataset) % batch_size == 1)
    else:
        batches = OwnBatches(sampler, batch_size, accelerator, least=batch_size if whole_batches else 2)
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
    )
    if accelerator is not None:  # Accelerate would repeat samples until every process's last batch is full
        loader = prepare_data_loader(loader, accelerator.device, num_processes=1, process_index=0, put_on_device=True,
                                     non_blocking=True)  # fmt: skip
    return loader, sampler


def rows_loader(dataset: Dataset, parts: list[list[int]], workers: int = 0) -> DataLoader:
    """Batches of these rows, in order, on the CPU."""
    return DataLoader(dataset, batch_sampler=parts, num_workers=workers, collate_fn=_collate)


def evaluation_loader(dataset: Dataset, batch_size: int, workers: int = 0) -> DataLoader:
    """Every sample once, in order."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
    )
