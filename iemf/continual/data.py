"""Features of an audio-visual class-incremental benchmark, split by sample and by task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, Dataset

from iemf.continual.rows import FileRows
from iemf.errors import UserError


class FeatureBatch(NamedTuple):
    """audio [B, D_a], visual [B, T, S, D], label [B] int64."""

    audio: Tensor
    visual: Tensor
    label: Tensor


class FeatureSplit(Dataset):
    """Features of one split, in memory or in a file; only the rows of a batch are read.

    Args:
        audio: [N, D_a] float16 or float32.
        visual: [N, T, S, D] float16 or float32.
        labels: [N], classes in the order in which they are learnt.
        ids: [N], for messages; numbers by default.
    """

    def __init__(
        self, audio: np.ndarray, visual: np.ndarray | FileRows, labels: Sequence[int], ids: Sequence[str] | None = None
    ) -> None:
        self.audio, self.visual = audio, visual
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.ids = [str(row) for row in range(len(labels))] if ids is None else ids

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> FeatureBatch:
        return FeatureBatch(*(part[0] for part in self.__getitems__([row])))

    def __getitems__(self, rows: list[int]) -> FeatureBatch:
        """A whole batch in one gather, as stored; in pinned memory if there is a GPU."""
        return FeatureBatch(gather(self.audio, rows), gather(self.visual, rows), self.labels[rows])

    def not_finite(self, rows: Sequence[int], batch: int = 64) -> str | None:
        """The id of the first of these samples whose features hold NaN or infinity; None if there is none."""
        for part in BatchSampler(rows, batch, drop_last=False):
            read = self.__getitems__(part)
            for row, audio, visual in zip(part, read.audio, read.visual, strict=True):
                if not (torch.isfinite(audio).all() and torch.isfinite(visual).all()):
                    return self.ids[row]
        return None

    def rows_of(self, classes: range) -> list[int]:
        """Samples of some consecutive classes."""
        chosen = (self.labels >= classes.start) & (self.labels < classes.stop)
        return chosen.nonzero()[:, 0].tolist()


def gather(source: np.ndarray | FileRows, rows: Sequence[int]) -> Tensor:
    """Rows of an array or a file as a tensor of the same dtype."""
    kind = torch.from_numpy(np.empty(0, source.dtype)).dtype
    out = torch.empty((len(rows), *source.shape[1:]), dtype=kind, pin_memory=torch.cuda.is_available())
    if isinstance(source, FileRows):
        source.read_into(rows, out.numpy())
    else:
        np.take(source, rows, axis=0, out=out.numpy(), mode="clip")  # "raise" would copy once more
    return out


@dataclass
class ContinualData:
    """A benchmark: classes numbered as they are learnt, task after task, and three splits of features."""

    name: str
    classes: tuple[str, ...]
    tasks: tuple[range, ...]
    train: FeatureSplit
    val: FeatureSplit
    test: FeatureSplit
    about: dict = field(default_factory=dict)

    @property
    def audio_size(self) -> int:
        return self.train.audio.shape[-1]

    @property
    def visual_size(self) -> int:
        return self.train.visual.shape[-1]


def equal_tasks(classes: int, tasks: int) -> tuple[range, ...]:
    """``tasks`` ranges of consecutive classes.

    Raises:
        UserError: the classes do not divide.
    """
    if tasks < 1 or classes % tasks:
        raise UserError(f"`tasks` {tasks}: {classes} classes do not divide into {tasks} tasks of one size")
    size = classes // tasks
    return tuple(range(start, start + size) for start in range(0, classes, size))


def check_classes(data: ContinualData) -> None:
    """Raise UserError if a class has no sample in a split."""
    for split in ("train", "val", "test"):
        present = set(getattr(data, split).labels.tolist())
        missing = [name for label, name in enumerate(data.classes) if label not in present]
        if missing:
            raise UserError(f"{data.name}: class {missing[0]!r} has no sample in {split} ({len(missing)} such classes)")
