"""Task after task: the walk of class-incremental learning.

In every task the network of the task before is kept as teacher, the classifier gains rows, the loop learns the task,
and then every task so far is tested once.
"""

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from iemf.balance import Method
from iemf.continual import memory
from iemf.continual.data import ContinualData
from iemf.continual.methods import ContinualMethod
from iemf.continual.model import ContinualNetwork
from iemf.continual.stage import Portion, TaskStage
from iemf.errors import UserError
from iemf.modulation import InverseEffectiveness
from iemf.seeds import Stream, mix_seed
from iemf.training import checkpoint
from iemf.training.effects import BatchScores, Effects
from iemf.training.loop import Trainer, TrainingOptions, Watch, unwatched
from iemf.training.record import RunFolder
from iemf.training.schedule import CONSTANT, Schedule
from iemf.training.step import EVERY_EPOCH, Window

MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]
MakeBalance = Callable[[ContinualNetwork, torch.optim.Optimizer, int], Method]
MakeModulation = Callable[[ContinualNetwork, torch.optim.Optimizer, int], InverseEffectiveness | None]


@dataclass(frozen=True)
class ContinualOptions:
    """How long, how fast and with what memory."""

    epochs: int
    batch_size: int
    exemplar_batch: int  # exemplars beside a batch
    memory: int
    seed: int
    window: Window = EVERY_EPOCH  # epochs of a task with ξ
    clip_norm: float | None = None
    clip_first: bool = False  # before ξ
    head_window: Window = EVERY_EPOCH  # epochs of a task in which the heads have a loss
    progress: bool = True
    schedule: Schedule = CONSTANT  # of each task's learning rate


def check_memory(method: ContinualMethod, memory: int, data: ContinualData) -> None:
    """Raise UserError if the memory has no place for each old class of the last task."""
    if method.uses_memory and memory < (old := data.tasks[-1].start):
        raise UserError(f"`memory` {memory} is smaller than the {old} old classes of the last task; each needs one "
                        f"exemplar at least")  # fmt: skip


class ContinualLearner:
    """Trains one network on one benchmark into one run folder.

    Args:
        network: for the classes of the first task, on the accelerator's device.
        method, data, options, folder: what, on what, how, and where to.
        accelerator: on which devices, in which precision.
        make_optimizer: called anew in every task: the classifier's parameters are new objects.
        make_modulation: IEMF on the classifier, likewise; also given a seed of the task. None: vanilla, joint learning.
        make_balance: of the modalities, anew: accuracies among other classes are nothing to compare with. None: none.
        watch: as of :class:`iemf.training.Trainer`.

    Raises:
        UserError: the memory is smaller than the number of old classes.
    """

    def __init__(
        self,
        network: ContinualNetwork,
        method: ContinualMethod,
        data: ContinualData,
        options: ContinualOptions,
        folder: RunFolder,
        accelerator: Accelerator,
        make_optimizer: MakeOptimizer,
        make_modulation: MakeModulation | None = None,
        make_balance: MakeBalance | None = None,
        watch: Watch = unwatched,
    ) -> None:
        self.network, self.method, self.data, self.options, self.folder = network, method, data, options, folder
        self.accelerator, self.make_optimizer, self.make_modulation = accelerator, make_optimizer, make_modulation
        self.make_balance, self.watch = make_balance, watch
        self.accuracies: list[list[float]] = []
        self.unimodal: list[list[dict[str, float]]] = []
        self.history: list[dict] = []
        self.effects: list[Effects] = []  # of each task's own test batches, once it is learnt
        check_memory(method, options.memory, data)

    def fit(self, resume: bool = False) -> list[list[float]]:
        """Learn every task; the matrix a[k][j] of test accuracies in percent.

        Raises:
            UserError: the loss is not finite, S_av was 0, or a checkpoint is of another run; what was finished is kept.
        """
        first = self._restore() if resume else 0
        for task in range(first, len(self.data.tasks)):
            trainer = self.trainer(task)
            self.history += trainer.fit(resume)
            stage, scores = trainer.stage, BatchScores(self.accelerator)
            tasks = self.data.tasks[: task + 1]
            # The task's own come last, and ξ is of them.
            measured = [stage.accuracies("test", [classes], scores if classes == tasks[-1] else None)[0]
                        for classes in tasks]  # fmt: skip
            self.effects.append(scores.effects(stage.modulation))
            trainer.release()
            self.accuracies.append([each.pop("fused") for each in measured])
            self.unimodal.append(measured)
            self._keep(task)
        return self.accuracies

    def trainer(self, task: int) -> Trainer:
        """The loop for one task; the network has learnt the tasks before, and gains rows here."""
        options, classes = self.options, self.data.tasks[task]
        seed = mix_seed(Stream.TASK, options.seed, task)
        torch.manual_seed(seed)
        teacher = copy.deepcopy(self.network).eval().requires_grad_(False) if task else None
        self.network.grow(classes.stop)
        optimizer = self.make_optimizer(self.network)
        modulation = self.make_modulation(self.network, optimizer, seed) if self.make_modulation else None
        balance = self.make_balance(self.network, optimizer, seed) if self.make_balance else None
        stage = self.stage(task, teacher, balance)
        how = TrainingOptions(options.epochs, seed, options.clip_norm, options.window, options.progress,
                              options.clip_first, options.schedule)  # fmt: skip
        return Trainer(stage, optimizer, how, self.folder, self.accelerator, modulation=modulation,
                       before=self.history, watch=self.watch)  # fmt: skip

    def stage(
        self, task: int, teacher: ContinualNetwork | None = None, balance: Method | None = None
    ) -> TaskStage:  # fmt: skip
        """A task, to be learnt or to be tested."""
        options = self.options
        portion = Portion(options.batch_size, options.exemplar_batch, options.seed, options.head_window)
        return TaskStage(self.network, teacher, self.method, self.data, task, self.exemplars(task), portion,
                         self.accelerator, balance)  # fmt: skip

    def exemplars(self, task: int) -> list[int]:
        """Training rows of old classes that the memory holds."""
        if not task or not self.method.uses_memory:
            return []
        train = self.data.train
        old = {label: train.rows_of(range(label, label + 1)) for label in range(self.data.tasks[task].start)}
        kept = memory.select(old, self.options.memory, self.options.seed)
        return [row for rows in kept.values() for row in rows]

    def _keep(self, task: int) -> None:
        if self.accelerator.is_main_process:
            content = {"run": self.folder.identity, "network": self.network.state_dict(), "history": self.history,
                       "accuracies": self.accuracies, "unimodal": self.unimodal,
                       "effects": [tuple(each) for each in self.effects]}  # fmt: skip
            checkpoint.save(self._checkpoint_of(task), content)

    def _restore(self) -> int:
        """Take over the tasks that are finished; the next one to learn."""
        finished = sum(self._checkpoint_of(task).exists() for task in range(len(self.data.tasks)))
        if not finished:
            return 0
        path, content, told = self._newest(finished)
        if told and self.accelerator.is_main_process:
            print(f"{self.folder.path.name}: {told}", file=sys.stderr, flush=True)
        finished = int(path.stem.removeprefix("task")) + 1
        if content.get("run") != self.folder.identity:
            raise UserError(f"{path} is of a run with other options or data; put the run's own checkpoint back, or "
                            f"name a new `out`")  # fmt: skip
        self.network.grow(self.data.tasks[finished - 1].stop)
        self.network.load_state_dict(content["network"])
        self.accuracies, self.history, self.unimodal = (content[n] for n in ("accuracies", "history", "unimodal"))
        self.effects = [Effects(*each) for each in content.get("effects", ())]  # older ones have none
        if self.accelerator.is_main_process:
            self.folder.write_metrics(self.history)
        return finished

    def _newest(self, finished: int) -> tuple[Path, dict, str | None]:
        """Of the last finished task; where that cannot be read, of the one before it, and what to say then."""
        path = self._checkpoint_of(finished - 1)
        if finished == 1:
            return path, checkpoint.load(path), None
        return checkpoint.load_latest(path, self._checkpoint_of(finished - 2))

    def _checkpoint_of(self, task: int) -> Path:
        return self.folder.checkpoints / f"task{task}.pt"
