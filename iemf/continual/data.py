"""Features of an audio-visual class-incremental benchmark, split by sample and by task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from iemf.errors import UserError


class FeatureBatch(NamedTuple):
    """audio [B, D_a], visual [B, T, S, D], label [B] int64."""

    audio: Tensor
    visual: Tensor
    label: Tensor


class FeatureSplit(Dataset):
    """Features of one split, in memory or memory-mapped; only the rows of a batch are read.

    Args:
        audio: [N, D_a] float16 or float32.
        visual: [N, T, S, D] float16 or float32.
        labels: [N], classes in the order in which they are learnt.
    """

    def __init__(self, audio: np.ndarray, visual: np.ndarray, labels: Sequence[int]) -> None:
        self.audio, self.visual = audio, visual
        self.labels = torch.as_tensor(labels, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> FeatureBatch:
        return FeatureBatch(*(part[0] for part in self.__getitems__([row])))

    def __getitems__(self, rows: list[int]) -> FeatureBatch:
        """A whole batch in one gather, as stored."""
        audio, visual = (torch.from_numpy(np.ascontiguousarray(part[rows])) for part in (self.audio, self.visual))
        return FeatureBatch(audio, visual, self.labels[rows])

    def rows_of(self, classes: range) -> list[int]:
        """Samples of some consecutive classes."""
        chosen = (self.labels >= classes.start) & (self.labels < classes.stop)
        return chosen.nonzero()[:, 0].tolist()


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
        raise UserError(f"{classes} classes do not divide into {tasks} tasks of one size")
    size = classes // tasks
    return tuple(range(start, start + size) for start in range(0, classes, size))


def check_classes(data: ContinualData) -> None:
    """Raise UserError if a class has no sample in a split."""
    for split in ("train", "val", "test"):
        present = set(getattr(data, split).labels.tolist())
        missing = [name for label, name in enumerate(data.classes) if label not in present]
        if missing:
            raise UserError(f"{data.name}: class {missing[0]!r} has no sample in {split} ({len(missing)} such classes)")
