"""One task of class-incremental learning as the loop sees it: new classes, exemplars of old ones, and a teacher."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import BatchSampler

from iemf.balance import Method
from iemf.coefficient import IGNORED
from iemf.continual.data import ContinualData, FeatureBatch, FeatureSplit
from iemf.continual.methods import ContinualMethod, ContinualStep
from iemf.continual.model import ContinualNetwork, ContinualOutput
from iemf.errors import Diverged, UserError
from iemf.logits import FUSED, Logits
from iemf.seeds import Stream, mix_seed
from iemf.training.balanced import Asked, Balanced, hold_out
from iemf.training.batches import global_batches, in_turn, own_part, read_batches
from iemf.training.chance import share_of_most_frequent
from iemf.training.effects import BatchScores
from iemf.training.stage import Evidence, Outcome, Rank, StageDefaults
from iemf.training.step import EVERY_EPOCH, Totals, Window, accuracies_of, named_totals, outcome_of, ranked


class Portion(NamedTuple):
    """How much of a task each process sees in a step, from what seed the order is drawn, and in which epochs the heads
    have a loss."""

    batch_size: int
    exemplar_batch: int  # exemplars beside a batch
    seed: int
    head_window: Window = EVERY_EPOCH


class TaskStage(Balanced, StageDefaults):
    """Learns the classes of one task.

    Args:
        module: has logits for all classes up to this task's.
        teacher: the network of the task before; None in the first.
        method, data, portion: what, on what, and in what steps.
        task: its number.
        exemplars: training rows of old classes that the memory holds.
        accelerator: of the run.
        balance: of the modalities, made for ``module`` as it is in this task; none by default.
    """

    def __init__(
        self,
        module: ContinualNetwork,
        teacher: ContinualNetwork | None,
        method: ContinualMethod,
        data: ContinualData,
        task: int,
        exemplars: Sequence[int],
        portion: Portion,
        accelerator: Accelerator,
        balance: Method | None = None,
    ) -> None:
        super().__init__()
        self.module, self.teacher, self.method, self.data, self.task = module, teacher, method, data, task
        self.exemplars, self.portion, self.accelerator = list(exemplars), portion, accelerator
        self.balance = balance or Method(module)
        self.name, self.about = f"task {task}", {"task": task}
        self.rows, self.held = hold_out(data.train.rows_of(data.tasks[task]), self.balance.held_out, portion.seed, task)
        self.steps = len(global_batches(self.rows, portion.batch_size, accelerator))
        self.old_slices = [slice(classes.start, classes.stop) for classes in data.tasks[:task]]

    @property
    def trained(self) -> list[int]:
        """Rows of the task, and exemplars of the tasks before it."""
        return self.rows + self.exemplars

    def batches(self, epoch: int) -> Iterator[tuple[int, FeatureBatch]]:
        """(B_c, batch): shuffled samples of the task, and exemplars behind them."""
        self.begin_epoch(epoch)
        return self.in_order(epoch)

    def asked(self, rows: Sequence[int], epoch: int) -> Iterator[Asked]:
        mine = in_turn(rows, self.accelerator)
        parts = list(BatchSampler(mine, self.portion.batch_size, drop_last=False))
        for audio, visual, labels in read_batches(self.data.train.__getitems__, parts, self.accelerator.device):
            yield Asked(self.module(audio, visual), labels)

    def in_order(self, epoch: int) -> Iterator[tuple[int, FeatureBatch]]:
        parts = [(own_part(rows, self.accelerator), own_part(beside, self.accelerator))
                 for rows, beside in self.parts(epoch)]  # fmt: skip
        read = read_batches(self.data.train.__getitems__, [rows + beside for rows, beside in parts],
                            self.accelerator.device)  # fmt: skip
        return zip([len(rows) for rows, _ in parts], read, strict=True)

    def parts(self, epoch: int) -> list[tuple[list[int], list[int]]]:
        """(rows of the task, of exemplars) of every batch of an epoch, over all processes."""
        portion = self.portion
        generator = torch.Generator().manual_seed(mix_seed(Stream.ORDER, portion.seed, self.task, epoch))
        order = [self.rows[i] for i in torch.randperm(len(self.rows), generator=generator).tolist()]
        count, parts = portion.exemplar_batch * self.accelerator.num_processes, []
        for part in global_batches(order, portion.batch_size, self.accelerator):
            picks = torch.randperm(len(self.exemplars), generator=generator)[:count].tolist()
            parts.append((part, [self.exemplars[i] for i in picks]))
        return parts

    def chance(self) -> float:
        """Of the task's samples and the exemplars beside them, in the first epoch."""
        return share_of_most_frequent(
            self.data.train.labels[[row for part in self.parts(0) for rows in part for row in rows]]
        )

    def loss(self, network: nn.Module, batch: tuple[int, FeatureBatch], epoch: int) -> Outcome:
        current, (audio, visual, labels) = batch
        output = network(audio, visual)
        losses, further = self._losses(output, audio, visual, labels, current)
        losses[FUSED] = self.balance.loss(losses[FUSED], output, labels, epoch)
        losses = self.balance.weighted(losses, epoch)
        if epoch not in self.portion.head_window:
            losses = {name: loss if name == FUSED else 0 * loss for name, loss in losses.items()}
        evidence = self._evidence_of_new(output.logits, labels, current)
        return outcome_of(losses, output.logits, labels, further, evidence, Asked(output, labels))

    @torch.no_grad()
    def _evidence_of_new(self, logits: Logits, labels: Tensor, current: int) -> Evidence:
        """Of the first ``current`` samples, which are of the task."""
        own = Logits({m: each[:current] for m, each in logits.unimodal.items()}, logits.fused[:current])
        return self._evidence(own, labels[:current])

    def _evidence(self, logits: Logits, labels: Tensor) -> Evidence:
        """What ξ is of: the slice of the task's own classes; samples of others do not count."""
        first_new = self.data.tasks[self.task].start
        own = Logits({m: each[:, first_new:] for m, each in logits.unimodal.items()}, logits.fused[:, first_new:])
        return Evidence(own, (labels - first_new).where(labels >= first_new, IGNORED))

    def _losses(
        self, output: ContinualOutput, audio: Tensor, visual: Tensor, labels: Tensor, current: int
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The method's loss of the fused logits and of every head's; and what comes on top."""
        named = {"fused": output.logits.fused} | output.logits.unimodal
        if self.teacher is None:
            return {name: self.method.first_task_loss(logits, labels) for name, logits in named.items()}, None
        with torch.no_grad(), self.accelerator.autocast():
            old = self.teacher(audio, visual)
        step = ContinualStep(labels, current, self.data.tasks[self.task].start, self.old_slices)
        before = old.logits.named()
        losses = {name: self.method.loss(logits, before[name], step) for name, logits in named.items()}
        return losses, self.method.further_loss(output, old, step)

    def validate(self, epoch: int) -> tuple[Rank, dict[str, float]]:
        """Ranked by the fused accuracy on all classes so far, then by its loss; ``balance`` sees the accuracies, ξ is
        of the task's own samples."""
        scores = BatchScores(self.accelerator)
        accuracies, loss = self.accuracies("val", self.data.tasks[: self.task + 1], scores)
        self.balance.on_validation(accuracies, epoch)
        return ranked(accuracies, loss, scores.effects(self.modulation))

    @torch.no_grad()
    def accuracies(
        self, split_name: str, tasks: Iterable[range], scores: BatchScores | None = None
    ) -> tuple[dict[str, float], float]:
        """(percent right among all classes seen, by modality and "fused"; mean cross-entropy of the fused logits) over
        a split's samples of some tasks; ``scores`` takes what ξ is computed from.

        Raises:
            UserError: the cross-entropy is not finite.
        """
        self.module.eval()
        split = getattr(self.data, split_name)
        rows = [row for classes in tasks for row in split.rows_of(classes)]
        parts = list(BatchSampler(rows, self.portion.batch_size, drop_last=False))
        totals = Totals(self.accelerator.device)
        mine = in_turn(parts, self.accelerator)
        for batch in read_batches(split.__getitems__, mine or parts[:1], self.accelerator.device):
            logits = self.module(batch.audio, batch.visual).logits
            loss = F.cross_entropy(logits.fused, batch.label, reduction="mean")
            totals.add(named_totals({"loss": loss}, logits, batch.label), counts=bool(mine))
            if mine and scores is not None:
                scores.add(*self._evidence(logits, batch.label))
        sums = totals.read()
        if not abs(sums["loss"]) < float("inf"):
            self._name_not_finite(split, rows)
            raise Diverged(f"training diverged: the loss on {split_name} is {sums['loss']}; train anew in another "
                            f"`out` with a lower `lr`")  # fmt: skip
        return accuracies_of(sums, len(rows)), sums["loss"] / len(rows)

    def explain(self) -> None:
        """The features may hold what is no number."""
        self._name_not_finite(self.data.train, self.rows + self.exemplars)

    def _name_not_finite(self, split: FeatureSplit, rows: list[int]) -> None:
        """Raise UserError if one of these samples has features that are no finite numbers."""
        if (sample := split.not_finite(rows)) is not None:
            raise UserError(f"the features of {sample!r} in {self.data.name} hold values that are not finite numbers; "
                            f"make them anew")  # fmt: skip
