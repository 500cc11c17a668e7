"""ξ in evaluation: what Eq. 10 gives on the batches of a split that nothing is trained on (Fig. 2 e), from logits that
are computed anyway. It is applied to nothing.
"""

from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from iemf.coefficient import IGNORED, true_class_probability
from iemf.logits import Logits
from iemf.modulation import InverseEffectiveness


@torch.no_grad()
def sample_scores(logits: Logits, labels: Tensor) -> Tensor:
    """[B, 3] of each sample: the modalities' mean probability of the true class, the fusion's, and 1; zeros where the
    label is :data:`iemf.coefficient.IGNORED`."""
    alone = torch.stack([true_class_probability(each, labels) for each in logits.unimodal.values()]).mean(0)
    return torch.stack([alone, true_class_probability(logits.fused, labels), labels != IGNORED], dim=1).double()


class Effects(NamedTuple):
    """ξ, S_uni and S_av of each batch of a split, in its order; batches in which no sample counts are left out."""

    xi: list[float]
    unimodal: list[float]
    fused: list[float]

    def means(self, split: str) -> dict[str, float]:
        """Over the batches, as a record has them: xi_val, s_unimodal_val, s_fused_val; {} where there are none."""
        names = (f"xi_{split}", f"s_unimodal_{split}", f"s_fused_{split}")
        return {name: sum(values) / len(values) for name, values in zip(names, self, strict=True) if values}


def effects_of(sums: Tensor, modulation: InverseEffectiveness | None) -> Effects:
    """From :func:`sample_scores` summed over each batch, [b, 3]; empty without IEMF."""
    if modulation is None:
        return Effects([], [], [])
    kept = sums[sums[:, 2] > 0]
    alone, fused = (kept[:, :2] / kept[:, 2:]).unbind(1)
    return Effects(*(each.tolist() for each in (modulation.coefficient(alone, fused), alone, fused)))


class BatchScores:
    """Collects the batches of an evaluation that processes share :func:`in turn <iemf.training.batches.in_turn>`.

    Args:
        accelerator: of the run.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator, self.sums = accelerator, []

    def add(self, logits: Logits, labels: Tensor) -> None:
        """The next batch of this process."""
        self.sums.append(sample_scores(logits, labels).sum(0))

    def effects(self, modulation: InverseEffectiveness | None) -> Effects:
        """Of the batches of all processes; waits for the device, once. Every process must call it."""
        rank, count = self.accelerator.process_index, self.accelerator.num_processes
        mine = torch.stack(self.sums).tolist() if self.sums else []
        placed = gather_object([(rank + count * number, row) for number, row in enumerate(mine)])
        rows = [row for _, row in sorted(placed)]
        return effects_of(torch.tensor(rows, dtype=torch.float64).view(-1, 3), modulation)


def effects_of_samples(scores: Tensor, batch_size: int, modulation: InverseEffectiveness | None) -> Effects:
    """From the scores of a split's samples in order, [N, 3], in batches of ``batch_size``."""
    return effects_of(torch.stack([part.sum(0) for part in scores.split(batch_size)]), modulation)
