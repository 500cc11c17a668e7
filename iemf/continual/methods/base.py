"""What a method of class-incremental learning may decide: the loss of one set of logits, and what comes on top."""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from iemf.continual.model import Output


class Step(NamedTuple):
    """A batch after the first task: ``current`` samples of this task, then exemplars; old classes by task."""

    labels: Tensor  # [B]
    current: int
    first_new: int
    old_slices: Sequence[slice]


class Method:
    """Cross-entropy in the first task; a method overrides what it does afterwards."""

    uses_memory = False

    def first_task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of one set of logits while there are no old classes."""
        return F.cross_entropy(logits, labels)

    def loss(self, logits: Tensor, old_logits: Tensor, step: Step) -> Tensor:
        """Of one set of logits [B, C], those of the fusion or of a head, beside the old model's."""
        raise NotImplementedError

    def further_loss(self, output: Output, old: Output, step: Step) -> Tensor | float:
        """What does not belong to one set of logits; nothing by default."""
        return 0.0
