"""What a method of class-incremental learning may decide: the loss of one set of logits, and what comes on top."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from iemf.continual.model import ContinualOutput


class ContinualStep(NamedTuple):
    """A batch after the first task: ``current`` samples of this task, then exemplars; old classes by task."""

    labels: Tensor  # [B]
    current: int
    first_new: int
    old_slices: Sequence[slice]


class ContinualMethod:
    """Cross-entropy in the first task; a method overrides what it does afterwards."""

    name: str  # on a command line; both are set by :func:`register`
    label: str  # in tables and pictures
    uses_memory = False

    def first_task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of one set of logits while there are no old classes."""
        return F.cross_entropy(logits, labels)

    def loss(self, logits: Tensor, old_logits: Tensor, step: ContinualStep) -> Tensor:
        """Of one set of logits [B, C], those of the fusion or of a head, beside the old model's."""
        raise NotImplementedError

    def further_loss(self, output: ContinualOutput, old: ContinualOutput, step: ContinualStep) -> Tensor | None:
        """What does not belong to one set of logits; nothing by default."""
        return None


METHODS: dict[str, type[ContinualMethod]] = {}


def register(name: str, label: str) -> Callable[[type[ContinualMethod]], type[ContinualMethod]]:
    """Put a method into METHODS under ``name``; tables and pictures call it ``label``."""

    def add(method: type[ContinualMethod]) -> type[ContinualMethod]:
        method.name, method.label = name, label
        METHODS[name] = method
        return method

    return add
