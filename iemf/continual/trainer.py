"""Task after task: the loop of class-incremental learning.

In every task the model of the task before is kept as teacher, the classifier gains rows, and validation over all
classes seen chooses the epoch; then every task so far is tested once. A checkpoint after each task is where a run
resumes.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import BatchSampler
from tqdm import tqdm

from iemf.ahead import read_ahead
from iemf.balance.inverse_effectiveness import InverseEffectiveness
from iemf.continual import memory
from iemf.continual.data import ContinualData, FeatureBatch, FeatureSplit
from iemf.continual.methods import Method, Step
from iemf.continual.model import ContinualNetwork, Output
from iemf.errors import UserError
from iemf.seeds import Stream, mix_seed
from iemf.training import checkpoint
from iemf.training.record import RunFolder

MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]
MakeModulation = Callable[[ContinualNetwork, torch.optim.Optimizer, int], InverseEffectiveness]


@dataclass(frozen=True)
class ContinualOptions:
    """How long, how fast and with what memory."""

    epochs: int
    batch_size: int
    exemplar_batch: int  # exemplars beside a batch
    memory: int
    seed: int
    joint: bool = False  # losses of the heads too
    modulate_epochs: tuple[int, int] | None = None  # first epoch with ξ and the first without; None: all
    progress: bool = True


def check_memory(method: Method, memory: int, data: ContinualData) -> None:
    """Raise UserError if the memory has no place for each old class of the last task."""
    if method.uses_memory and memory < (old := data.tasks[-1].start):
        raise UserError(f"--memory {memory} is smaller than the {old} old classes of the last task; each needs one "
                        f"exemplar at least")  # fmt: skip


class ContinualTrainer:
    """Trains one network on one benchmark into one run folder.

    Args:
        network: for the classes of the first task, on its device.
        method, data, options, folder: what, on what, how, and where to.
        make_optimizer: called anew in every task: the classifier's parameters are new objects.
        make_modulation: IEMF on the classifier, likewise; also given a seed of the task. None: vanilla, joint learning.

    Raises:
        UserError: the memory is smaller than the number of old classes.
    """

    def __init__(
        self,
        network: ContinualNetwork,
        method: Method,
        data: ContinualData,
        options: ContinualOptions,
        folder: RunFolder,
        make_optimizer: MakeOptimizer,
        make_modulation: MakeModulation | None = None,
    ) -> None:
        self.network, self.method, self.data, self.options, self.folder = network, method, data, options, folder
        self.make_optimizer, self.make_modulation = make_optimizer, make_modulation
        self.device = next(network.parameters()).device
        self.accuracies: list[list[float]] = []
        self.history: list[dict] = []
        check_memory(method, options.memory, data)

    def fit(self, resume: bool = False) -> list[list[float]]:
        """Learn every task; the matrix a[k][j] of test accuracies in percent.

        Raises:
            UserError: the loss is not finite, or the checkpoint is of another run; finished tasks are kept.
        """
        if resume and self.folder.last_checkpoint.exists():
            self._restore()
        self.folder.write_metrics(self.history)  # without the epochs of a task that was broken off
        first = len(self.accuracies)
        bar = tqdm(total=self.options.epochs * len(self.data.tasks), initial=self.options.epochs * first, unit="epoch",
                   desc=self.folder.path.name, disable=not self.options.progress, dynamic_ncols=True,
                   leave=False)  # fmt: skip
        with bar:
            for task in range(first, len(self.data.tasks)):
                self._learn(task, bar)
                seen = self.data.tasks[: task + 1]
                self.accuracies.append([self._accuracy("test", [classes])[0] for classes in seen])
                self._keep(task)
        return self.accuracies

    def _learn(self, task: int, bar: tqdm) -> None:
        options, classes = self.options, self.data.tasks[task]
        seed = mix_seed(Stream.TASK, options.seed, task)
        torch.manual_seed(seed)
        teacher = copy.deepcopy(self.network).eval().requires_grad_(False) if task else None
        self.network.grow(classes.stop)
        optimizer = self.make_optimizer(self.network)
        modulation = self.make_modulation(self.network, optimizer, seed) if self.make_modulation else None
        exemplars = self._exemplars(task)
        best = None
        for epoch in range(options.epochs):
            window = options.modulate_epochs
            active = modulation if window is None or window[0] <= epoch < window[1] else None
            self.network.train()
            totals = torch.zeros(3, dtype=torch.float64, device=self.device)
            for current, batch in self._batches(task, epoch, exemplars):
                totals += self._step(task, current, batch, teacher, optimizer, active)
            loss, xi, steps = totals.tolist()
            if not abs(loss) < float("inf"):
                self._refuse(task, epoch, loss, exemplars)
            accuracy, val_loss = self._accuracy("val", self.data.tasks[: task + 1])
            self.history.append({"task": task, "epoch": epoch, "loss": loss / steps, "val_accuracy": accuracy,
                                 "val_loss": val_loss, "xi": xi / steps if active else None})  # fmt: skip
            self.folder.write_metrics(self.history)
            rank = (accuracy, -val_loss)
            if best is None or rank > best[0]:
                best = rank, copy.deepcopy(self.network.state_dict())
            bar.update()
            bar.set_postfix_str(f"task {task + 1}/{len(self.data.tasks)}, val {accuracy:.1f} %")
        self.network.load_state_dict(best[1])

    def _step(
        self,
        task: int,
        current: int,
        batch: FeatureBatch,
        teacher: ContinualNetwork | None,
        optimizer: torch.optim.Optimizer,
        modulation: InverseEffectiveness | None,
    ) -> Tensor:
        """One optimiser step; (loss, ξ, 1) on the device."""
        first_new = self.data.tasks[task].start
        output = self.network(batch.audio, batch.visual)
        loss = self._loss(output, batch, current, task, teacher)
        loss.backward()
        xi = loss.new_zeros(())
        if modulation is not None:
            fused, *unimodal = (logits[:current, first_new:] for logits in (output.fused, output.audio, output.visual))
            xi = modulation.modulate(unimodal, fused, batch.label[:current] - first_new)
        optimizer.step()
        optimizer.zero_grad()
        return torch.stack([loss.detach(), xi, torch.ones_like(xi)]).double()

    def _loss(
        self, output: Output, batch: FeatureBatch, current: int, task: int, teacher: ContinualNetwork | None
    ) -> Tensor:
        """The method's loss of the fused logits and, in joint learning, of both heads' too."""
        names = ("fused", "audio", "visual") if self.options.joint else ("fused",)
        if teacher is None:
            return sum(self.method.first_task_loss(getattr(output, name), batch.label) for name in names)
        with torch.no_grad():
            old = teacher(batch.audio, batch.visual)
        tasks = self.data.tasks
        slices = [slice(classes.start, classes.stop) for classes in tasks[:task]]
        step = Step(batch.label, current, tasks[task].start, slices)
        total = sum(self.method.loss(getattr(output, name), getattr(old, name), step) for name in names)
        return total + self.method.further_loss(output, old, step)

    def _refuse(self, task: int, epoch: int, loss: float, exemplars: list[int]) -> None:
        """Say why the loss is not finite: the features, or the training."""
        train = self.data.train
        self._name_not_finite(train, train.rows_of(self.data.tasks[task]) + exemplars)
        raise UserError(f"training diverged: the loss of task {task}, epoch {epoch} is {loss}; train anew in another "
                        f"--out with a lower --lr")  # fmt: skip

    def _name_not_finite(self, split: FeatureSplit, rows: list[int]) -> None:
        """Raise UserError if one of these samples has features that are no finite numbers."""
        if (sample := split.not_finite(rows)) is not None:
            raise UserError(f"the features of {sample!r} in {self.data.name} hold values that are not finite numbers; "
                            f"make them anew")  # fmt: skip

    def _exemplars(self, task: int) -> list[int]:
        """Training rows of old classes that the memory holds."""
        if not task or not self.method.uses_memory:
            return []
        train = self.data.train
        old = {label: train.rows_of(range(label, label + 1)) for label in range(self.data.tasks[task].start)}
        kept = memory.select(old, self.options.memory, self.options.seed)
        return [row for rows in kept.values() for row in rows]

    def _batches(self, task: int, epoch: int, exemplars: list[int]) -> Iterator[tuple[int, FeatureBatch]]:
        """(B_c, batch): shuffled samples of the task, and exemplars behind them."""
        generator = torch.Generator().manual_seed(mix_seed(Stream.ORDER, self.options.seed, task, epoch))
        rows = self.data.train.rows_of(self.data.tasks[task])
        order = [rows[i] for i in torch.randperm(len(rows), generator=generator).tolist()]
        parts, counts = [], []
        for part in BatchSampler(order, self.options.batch_size, drop_last=False):
            picks = torch.randperm(len(exemplars), generator=generator)[: self.options.exemplar_batch].tolist()
            parts.append(part + [exemplars[i] for i in picks])
            counts.append(len(part))
        yield from zip(counts, self._read(self.data.train, parts), strict=True)

    def _read(self, split: FeatureSplit, parts: Iterable[list[int]]) -> Iterator[FeatureBatch]:
        """Batches of a split on the device, in float32; the next is read while one is worked on."""
        for batch in read_ahead(parts, split.__getitems__):
            audio, visual = (part.to(self.device, non_blocking=True).float() for part in batch[:2])
            yield FeatureBatch(audio, visual, batch.label.to(self.device, non_blocking=True))

    @torch.no_grad()
    def _accuracy(self, name: str, tasks: list[range]) -> tuple[float, float]:
        """(percent right among all classes seen, mean cross-entropy) over a split's samples of some tasks.

        Raises:
            UserError: the cross-entropy is not finite.
        """
        self.network.eval()
        split = getattr(self.data, name)
        rows = [row for classes in tasks for row in split.rows_of(classes)]
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        for batch in self._read(split, BatchSampler(rows, self.options.batch_size, drop_last=False)):
            logits = self.network(batch.audio, batch.visual).fused
            right = (logits.argmax(1) == batch.label).sum()
            totals += torch.stack([right.double(), F.cross_entropy(logits, batch.label, reduction="sum").double()])
        right, loss = totals.tolist()
        if not abs(loss) < float("inf"):
            self._name_not_finite(split, rows)
            raise UserError(f"training diverged: the loss on {name} is {loss}; train anew in another --out with a "
                            f"lower --lr")  # fmt: skip
        return 100 * right / len(rows), loss / len(rows)

    def _identity(self) -> dict:
        """What a checkpoint must agree with to be gone on from."""
        return {"benchmark": self.data.name, "tasks": [len(classes) for classes in self.data.tasks],
                "method": type(self.method).__name__}  # fmt: skip

    def _keep(self, task: int) -> None:
        content = {"of": self._identity(), "task": task, "network": self.network.state_dict()}
        content |= {"accuracies": self.accuracies, "history": self.history}
        checkpoint.save(self.folder.checkpoints / f"task{task}.pt", content)
        checkpoint.save(self.folder.last_checkpoint, content)

    def _restore(self) -> None:
        path = self.folder.last_checkpoint
        content = checkpoint.load(path)
        ours, theirs = self._identity(), content.get("of", {})
        for what, wanted in ours.items():
            if theirs.get(what) != wanted:
                raise UserError(f"{path} is of {what} {theirs.get(what)}, this run of {wanted}; put the run's own "
                                f"checkpoint back, or name a new --out")  # fmt: skip
        self.network.grow(self.data.tasks[content["task"]].stop)
        try:
            self.network.load_state_dict(content["network"])
        except RuntimeError:
            raise UserError(f"{path} is of a network of other sizes; put the run's own checkpoint back, or name a new "
                            f"--out") from None  # fmt: skip
        self.accuracies, self.history = content["accuracies"], content["history"]
