"""What a data set hands to training: three splits of (audio, visual, label), and a front end for the device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, default_collate

from iemf.data import image
from iemf.seeds import Stream, mix_seed


class Batch(NamedTuple):
    """audio [B, ...], visual [B, C, H, W] or [B, N, C, H, W], label [B] int64."""

    audio: Tensor
    visual: Tensor
    label: Tensor


@dataclass
class AudioVisualData:
    """A data set ready to train on.

    ``front_end`` maps (audio, visual) as the loader gives them to what the encoders take, on the device and once a
    batch; in training mode it may augment. ``set_epoch`` is called before every training epoch.
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


class KeepInputs(nn.Module):
    """The front end of data that come ready."""

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        return audio, visual


class EpochSampler(Sampler[int]):
    """A permutation of 0..n-1 that depends on (seed, epoch) alone, so a resumed run sees the order it would have."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mix_seed(Stream.ORDER, self.seed, self.epoch))
        return iter(torch.randperm(self.count, generator=generator).tolist())


def _collate(samples: Batch | list[Batch]) -> Batch:
    """A data set with ``__getitems__`` returns a whole batch; others a list of samples."""
    if isinstance(samples, Batch):
        return samples
    audio, visual, label = zip(*samples, strict=True)
    return Batch(default_collate(audio), image.stack(visual), default_collate(label))


def training_loader(
    dataset: Dataset, batch_size: int, seed: int, workers: int = 0, whole_batches: bool = False
) -> tuple[DataLoader, EpochSampler]:
    """Shuffled batches. A last batch of one sample is left out: it has no batch statistics; with ``whole_batches`` any
    last batch that is not full is.

    Workers start anew each epoch, so that they see what ``set_epoch`` changed.
    """
    sampler = EpochSampler(len(dataset), seed)
    batches = BatchSampler(sampler, batch_size, drop_last=whole_batches or len(dataset) % batch_size == 1)
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
    )
    return loader, sampler


def evaluation_loader(dataset: Dataset, batch_size: int, workers: int = 0) -> DataLoader:
    """Every sample once, in order."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
    )
