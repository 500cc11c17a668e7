"""The one training step, whatever is trained and whoever asks: the loop, a plan's estimate, a benchmark.

forward and losses - the stage's look at them - backward - unscale - the stage's gradient hook - ξ on the fusion layer -
clip - optimiser
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from iemf.logits import FUSED, Logits
from iemf.modulation import InverseEffectiveness
from iemf.processes import sum_over_processes
from iemf.training.batches import weight_of_part
from iemf.training.effects import Effects
from iemf.training.stage import Evidence, Outcome, Rank, Stage


@dataclass(frozen=True)
class Window:
    """Epochs, from 0, in which ξ is applied: ``first`` to ``last``, both included; None: to the end.

    With ``hold`` the last ξ of the window goes on acting in the epochs behind it, as in the released AV-CIL, which
    never sets the classifier's learning rate back.
    """

    first: int = 0
    last: int | None = None
    hold: bool = False

    def __contains__(self, epoch: int) -> bool:
        return self.first <= epoch and not self.is_over(epoch)

    def is_over(self, epoch: int) -> bool:
        """Whether an epoch lies behind the window."""
        return self.last is not None and epoch > self.last


EVERY_EPOCH = Window()


def unscaled(loss: Tensor) -> Tensor:
    """A loss in full precision goes backward as it is."""
    return loss


class Step:
    """A training step of a stage: call it with a batch and the epoch.

    Args:
        stage: what is trained.
        network: its module, or the wrapper that ``accelerator`` made of it.
        optimizer: of the module's parameters, as ``accelerator`` prepared it.
        accelerator: of the run.
        modulation: IEMF, or None for vanilla and joint learning.
        window: epochs with ξ.
        clip_norm: the gradient's norm is clipped to it; None: never.
        clip_first: before ξ, not behind it.
    """

    def __init__(
        self,
        stage: Stage,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        modulation: InverseEffectiveness | None = None,
        window: Window = EVERY_EPOCH,
        clip_norm: float | None = None,
        clip_first: bool = False,
    ) -> None:
        self.stage, self.network, self.accelerator = stage, network, accelerator
        self.optimizer, plain = optimizer, getattr(optimizer, "optimizer", optimizer)
        # The wrappers are there for losses that are scaled; their own look-ups are 2 % of a small step.
        scaled = accelerator.scaler is not None
        self.update, self.backward = (optimizer, accelerator.backward) if scaled else (plain, Tensor.backward)
        self.zero_grad = plain.zero_grad
        self.scale = accelerator.scaler.scale if scaled else unscaled
        self.modulation, self.window, self.clip_norm, self.clip_first = modulation, window, clip_norm, clip_first

    def __call__(self, batch: Any, epoch: int) -> dict[str, Tensor]:
        """Named totals of the batch, 0-dim on the device; nothing waits for it."""
        outcome = self.stage.loss(self.network, batch, epoch)
        self.stage.before_backward(outcome, self.scale)
        loss = outcome.loss
        if self.accelerator.num_processes > 1:
            loss = loss * weight_of_part(outcome.samples, loss.device)
        self.backward(loss)
        self.accelerator.unscale_gradients(self.optimizer)
        self.stage.on_gradients(outcome, epoch)
        totals = outcome.totals
        if self.clip_first:
            self._clip()
        if self.modulation is not None and epoch in self.window:
            logits, labels = outcome.evidence
            effect = self.modulation.measure(list(logits.unimodal.values()), logits.fused, labels)
            self.modulation.apply(effect.xi)
            totals = totals | {"xi": self.modulation.last, "s_unimodal": effect.unimodal, "s_fused": effect.fused,
                               "without_evidence": effect.fused == 0}  # fmt: skip
        elif self.modulation is not None and self.window.hold and self.window.is_over(epoch):
            self.modulation.repeat()
        if not self.clip_first:
            self._clip()
        self.update.step()
        self.zero_grad()
        return totals | {"samples": outcome.loss.new_full((), float(outcome.samples)),
                         "batches": outcome.loss.new_ones(())}  # fmt: skip

    def _clip(self) -> None:
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.stage.module.parameters(), self.clip_norm)


class Totals:
    """Named sums over the batches of an epoch, kept on the device until they are read.

    Args:
        device: of the totals.
    """

    HELD = 64  # batches whose totals wait to be added at once: a small step is too short for ten more operations

    def __init__(self, device: torch.device) -> None:
        self.device, self.names, self.sums = device, (), None
        self.waiting: list[list[Tensor]] = []

    def add(self, totals: Mapping[str, Tensor], counts: bool = True) -> None:
        """One batch's; every batch has the same names. Of one that does not count, the names alone."""
        if self.sums is None:
            self.names, self.sums = tuple(totals), torch.zeros(len(totals), dtype=torch.float64, device=self.device)
        if counts:
            self.waiting.append([totals[name].detach() for name in self.names])
        if len(self.waiting) == self.HELD:
            self._add_waiting()

    def _add_waiting(self) -> None:
        values = torch.stack([value.float() for row in self.waiting for value in row])
        self.sums += values.view(len(self.waiting), -1).sum(0, dtype=torch.float64)
        self.waiting = []

    def read(self, across: Callable[[Tensor], Tensor] = sum_over_processes) -> dict[str, float]:
        """Over all processes, by name; waits for the device, once."""
        if self.waiting:
            self._add_waiting()
        return dict(zip(self.names, across(self.sums).tolist(), strict=True)) if self.sums is not None else {}


OF_BATCHES = ("xi", "s_unimodal", "s_fused")


def means(sums: Mapping[str, float]) -> dict[str, float | None]:
    """From an epoch's sums to its record: losses a sample, accuracies in percent, ξ and strengths a batch.

    A total "correct_x" becomes "train_accuracy_x". ξ and the strengths are None in epochs without.
    """
    record: dict[str, float | None] = {}
    for name, total in sums.items():
        if name.startswith("correct_"):
            record[f"train_accuracy_{name.removeprefix('correct_')}"] = 100 * total / sums["samples"]
        elif name not in (*OF_BATCHES, "samples", "batches", "without_evidence"):
            record[name] = total / sums["samples"]
    return record | {name: sums[name] / sums["batches"] if name in sums else None for name in OF_BATCHES}


def accuracies_of(sums: Mapping[str, float], count: int) -> dict[str, float]:
    """Percent of ``count`` samples that each set of logits has right, by name, from the totals "correct_<name>"."""
    return {name.removeprefix("correct_"): 100 * total / count for name, total in sums.items()
            if name.startswith("correct_")}  # fmt: skip


def ranked(accuracies: Mapping[str, float], loss: float, effects: Effects) -> tuple[Rank, dict[str, float]]:
    """What validation gives, of accuracies in percent, the fused loss and ξ; ranked by the first, then the second."""
    record = {f"val_accuracy_{name}": value for name, value in accuracies.items()}
    return (accuracies[FUSED], -loss), record | {"val_loss": loss} | effects.means("val")


@torch.no_grad()
def named_totals(losses: Mapping[str, Tensor], logits: Logits, labels: Tensor) -> dict[str, Tensor]:
    """Totals of a batch: ``losses`` (means over its samples) and the samples that each set of logits has right."""
    count = len(labels)
    right = {f"correct_{name}": (each.argmax(1) == labels).sum() for name, each in logits.named().items()}
    return {name: loss * count for name, loss in losses.items()} | right


def outcome_of(
    losses: Mapping[str, Tensor],
    logits: Logits,
    labels: Tensor,
    further: Tensor | None = None,
    evidence: Evidence | None = None,
    output: Any = None,
) -> Outcome:
    """Of a batch of B samples, from its losses by name; their sum is learnt from, and all of them are totals.

    Args:
        losses: means over the samples, 0-dim.
        logits: all sets, [B, C] each.
        labels: [B].
        further: a loss that has no name in the records, on top.
        evidence: what ξ is computed from; by default ``logits`` and ``labels``.
        output: see :class:`~iemf.training.stage.Outcome`.
    """
    loss = reduce(torch.add, losses.values() if further is None else (*losses.values(), further))
    named = {"loss": loss} | {f"loss_{name}": value for name, value in losses.items()}
    totals = named_totals(named, logits, labels)
    return Outcome(loss, len(labels), totals, evidence or Evidence(logits, labels), output, losses)
