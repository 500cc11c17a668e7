"""The training loop: one for every task, network and method.

Validation chooses the epoch; a checkpoint after every epoch is where a run that was broken off goes on. Random numbers
begin anew each epoch, from the run's seed and the epoch alone, so none of their states needs to be stored.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm

from iemf.errors import Diverged, UserError
from iemf.modulation import InverseEffectiveness
from iemf.processes import copy_from_first
from iemf.seeds import Stream, mix_seed
from iemf.training import checkpoint
from iemf.training.record import RunFolder
from iemf.training.schedule import CONSTANT, Schedule
from iemf.training.stage import Stage
from iemf.training.step import EVERY_EPOCH, Step, Totals, Window, means


@dataclass(frozen=True)
class TrainingOptions:
    """How long, from what seed, and what the step is told; the optimiser comes ready-made."""

    epochs: int
    seed: int
    clip_norm: float | None = None
    window: Window = EVERY_EPOCH
    progress: bool = True
    clip_first: bool = False  # before ξ, as in the released class-incremental code
    schedule: Schedule = CONSTANT


Watch = Callable[[], AbstractContextManager[Callable[[], dict[str, float]]]]


@contextmanager
def unwatched() -> Iterator[Callable[[], dict[str, float]]]:
    """Nothing beside what validation itself measures."""
    yield dict


class Trainer:
    """Trains one stage into one run folder.

    Args:
        stage: what is trained; its module is on the accelerator's device.
        optimizer: a ``torch.optim`` optimiser of the module's parameters.
        options: how.
        folder: where to.
        accelerator: on which devices, in which precision.
        modulation: IEMF, or None for vanilla and joint learning.
        before: records of the run's earlier stages.
        watch: a context around each validation; what it yields is called behind it, for more of the epoch's record.
    """

    def __init__(
        self,
        stage: Stage,
        optimizer: torch.optim.Optimizer,
        options: TrainingOptions,
        folder: RunFolder,
        accelerator: Accelerator,
        modulation: InverseEffectiveness | None = None,
        before: Sequence[dict] = (),
        watch: Watch = unwatched,
    ) -> None:
        self.stage, self.options, self.folder, self.accelerator = stage, options, folder, accelerator
        self.raw_optimizer, self.modulation = optimizer, modulation
        self.before, self.watch = list(before), watch
        stage.modulation = modulation
        self.network, self.optimizer = accelerator.prepare(stage.module, optimizer)
        self.step = Step(stage, self.network, self.optimizer, accelerator, modulation, options.window,
                         options.clip_norm, options.clip_first)  # fmt: skip
        self.rates = [group["lr"] for group in optimizer.param_groups]  # as they were given
        self.steps = stage.steps
        self.ranks: list[list[float]] = []  # of validation, by epoch
        self.fallen, self.factor = 0, 1.0  # of the schedule: how often the rate fell, and its factor now
        self.history: list[dict] = []
        self.best: dict | None = None

    def fit(self, resume: bool = False) -> list[dict]:
        """Train to the last epoch and leave the module with the best one's weights; one record an epoch.

        Args:
            resume: go on after the last checkpoint if it is of this stage; else from the beginning.

        Raises:
            UserError: the loss is not finite, S_av was 0, or the checkpoint is of another run; the checkpoint of the
                epoch before is kept.
        """
        start = self._restore() if resume else 0
        chance = self.stage.chance()
        beside = {} if chance is None else {"chance": chance}
        with self._writer() as writer, self._bar(start) as bar:
            for epoch in range(start, self.options.epochs):
                if self.options.schedule.is_over(self.ranks):
                    break
                began = time.perf_counter()
                self._set_rate(epoch * self.steps)
                rate = self.raw_optimizer.param_groups[0]["lr"]
                record = {**self.stage.about, "epoch": epoch, **self._train_epoch(epoch, bar), **beside}
                with self.watch() as seen:
                    rank, measured = self.stage.validate(epoch)
                self._check_finite("validation loss", -rank[1], epoch)
                record |= measured | seen() | {"lr": rate}
                record["seconds"] = time.perf_counter() - began
                self._keep(epoch, record, rank)
                self._write(writer, record)
                bar.set_postfix_str(f"val {rank[0]:.1f} %")
        self.accelerator.wait_for_everyone()  # the first process may still be writing it
        if self.best is not None:
            self.stage.module.load_state_dict(checkpoint.load(self.folder.best_checkpoint)["network"])
        return self.history

    def release(self) -> None:
        """Let go of the module, so that another stage can be trained with what it has become."""
        self.accelerator.unwrap_model(self.network, keep_fp32_wrapper=False)
        self.accelerator.free_memory()

    def _train_epoch(self, epoch: int, bar: tqdm) -> dict[str, float | None]:
        self._begin_random_numbers(epoch)
        self.network.train()
        totals = Totals(self.accelerator.device)
        for number, batch in enumerate(self.stage.batches(epoch), epoch * self.steps):
            self._set_rate(number)
            totals.add(self.step(batch, epoch))
            bar.update()
        copy_from_first(self.stage.module.buffers())  # each replica has normalised by batches of its own
        sums = totals.read()
        self._check_finite("loss", sums["loss"], epoch)
        if sums.get("without_evidence"):
            raise UserError(
                f"S_av was 0 in {sums['without_evidence']:.0f} batch(es) of {self._of(epoch)}: the fused logits give "
                f"the true class no probability at all, so ξ (Eq. 10) is undefined; train anew in another `out` with a "
                f"lower `lr`. {self._kept()}"
            )
        return means(sums)

    def _set_rate(self, step: int) -> None:
        """That of a step, from 0, counted over all epochs."""
        schedule = self.options.schedule
        factor = schedule.factor(step, self.steps, self.options.epochs, self.fallen)
        if factor != self.factor:
            for group, rate in zip(self.raw_optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor
            self.factor = factor

    def _begin_random_numbers(self, epoch: int) -> None:
        rank = self.accelerator.process_index
        seed = mix_seed(Stream.DROPOUT, self.options.seed, epoch, *([rank] if rank else []))
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)

    def _of(self, epoch: int) -> str:
        return ", ".join([*(f"{name} {number}" for name, number in self.stage.about.items()), f"epoch {epoch}"])

    def _check_finite(self, name: str, value: float, epoch: int) -> None:
        if not abs(value) < float("inf"):
            self.stage.explain()
            raise Diverged(
                f"training diverged: the {name} of {self._of(epoch)} is {value}; train anew in another `out` with a "
                f"lower `lr` than {self.rates[0]:g} or with `clip_norm` 1. {self._kept()}"
            )

    def _kept(self) -> str:
        if not self.history:
            return "No epoch had finished, so there is no checkpoint"
        return f"The checkpoint of epoch {self.history[-1]['epoch']} is kept in {self.folder.checkpoints}"

    def _keep(self, epoch: int, record: dict, rank: Sequence[float]) -> None:
        """Append the epoch's record; write checkpoints."""
        self.history.append(record)
        self.ranks.append(list(rank))
        self.fallen = self.options.schedule.falls(self.ranks)
        improved = self.best is None or tuple(rank) > tuple(self.best["rank"])
        if improved:
            self.best = {"epoch": epoch, "rank": list(rank)}
        if not self.accelerator.is_main_process:
            return
        network = self.stage.module.state_dict()
        if improved:
            checkpoint.save(self.folder.best_checkpoint, {"epoch": epoch, "network": network})
        content = {name: part.state_dict() for name, part in self._parts().items()}
        content |= {"run": self.folder.identity, "options": self.folder.options}
        content |= {"stage_name": self.stage.name, "epoch": epoch, "network": network}
        content |= {"processes": self.accelerator.num_processes, "history": self.history, "best": self.best,
                    "ranks": self.ranks}  # fmt: skip
        checkpoint.save(self.folder.last_checkpoint, content, before=self.folder.previous_checkpoint)
        self.folder.write_metrics(self.before + self.history)

    def _parts(self) -> dict[str, Any]:
        """What has a state beside the network."""
        parts = {"optimizer": self.raw_optimizer, "modulation": self.modulation, "stage": self.stage,
                 "scaler": self.accelerator.scaler}  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}

    def _restore(self) -> int:
        """Take everything from the last checkpoint, if it is this stage's; the next epoch to train."""
        path, content, told = checkpoint.load_latest(self.folder.last_checkpoint, self.folder.previous_checkpoint)
        if content:
            checkpoint.check(path, content, self.folder.identity, self.accelerator.num_processes, self.folder.options)
        if told and self.accelerator.is_main_process:
            tqdm.write(f"{self.folder.path.name}: {told}", file=sys.stderr)
        begun = bool(content) and content["stage_name"] == self.stage.name
        if begun:
            try:
                self.stage.module.load_state_dict(content["network"])
                for name, part in self._parts().items():
                    part.load_state_dict(content[name])
                self.history, self.best, self.ranks = content["history"], content["best"], content["ranks"]
            except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise UserError(f"{path} does not fit this run ({reason}); put the run's own checkpoint back, or train "
                                f"anew in another `out`") from error  # fmt: skip
            self.fallen, self.factor = self.options.schedule.falls(self.ranks), None  # the optimiser has some rate
        if self.accelerator.is_main_process:
            self.folder.write_metrics(self.before + self.history)
        return content["epoch"] + 1 if begun else 0

    def _bar(self, start: int) -> tqdm:
        shown = self.options.progress and self.accelerator.is_main_process
        name = self.folder.path.name + "".join(f", {name} {number + 1}" for name, number in self.stage.about.items())
        return tqdm(total=self.steps * self.options.epochs, initial=self.steps * start, desc=name, unit="batch",
                    disable=not shown, dynamic_ncols=True)  # fmt: skip

    @contextmanager
    def _writer(self) -> Iterator:
        if not self.accelerator.is_main_process:
            yield None
            return
        from torch.utils.tensorboard import SummaryWriter  # seconds to import, so not before it is needed

        purge = len(self.before) + len(self.history)
        with SummaryWriter(str(self.folder.path / "tensorboard"), purge_step=purge) as writer:
            yield writer

    def _write(self, writer: Any, record: dict) -> None:
        if writer is None:
            return
        number = len(self.before) + len(self.history) - 1
        for name, value in record.items():
            if name != "epoch" and value is not None:
                writer.add_scalar(name, value, number)
