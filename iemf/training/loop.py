"""The training loop: one for every task, network and method.

Validation chooses the epoch; a checkpoint after every epoch is where a run that was broken off goes on. Random numbers
begin anew each epoch, from the run's seed and the epoch alone, so none of their states needs to be stored.
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm

from iemf.errors import UserError
from iemf.modulation import InverseEffectiveness
from iemf.processes import copy_from_first
from iemf.seeds import Stream, mix_seed
from iemf.training import checkpoint
from iemf.training.record import RunFolder
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


class Trainer:
    """Trains one stage into one run folder.

    Args:
        stage: what is trained; its module is on the accelerator's device.
        optimizer: a ``torch.optim`` optimiser of the module's parameters.
        options: how.
        folder: where to.
        accelerator: on which devices, in which precision.
        scheduler: of the learning rate, stepped once an epoch; None: it is constant.
        modulation: IEMF, or None for vanilla and joint learning.
        before: records of the run's earlier stages.
    """

    def __init__(
        self,
        stage: Stage,
        optimizer: torch.optim.Optimizer,
        options: TrainingOptions,
        folder: RunFolder,
        accelerator: Accelerator,
        scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
        modulation: InverseEffectiveness | None = None,
        before: Sequence[dict] = (),
    ) -> None:
        self.stage, self.options, self.folder, self.accelerator = stage, options, folder, accelerator
        self.raw_optimizer, self.scheduler, self.modulation = optimizer, scheduler, modulation
        self.before = list(before)
        stage.modulation = modulation
        self.network, self.optimizer = accelerator.prepare(stage.module, optimizer)
        self.step = Step(stage, self.network, self.optimizer, accelerator, modulation, options.window,
                         options.clip_norm, options.clip_first)  # fmt: skip
        self.rate = optimizer.param_groups[0]["lr"]  # as it was given; the scheduler changes it
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
        with self._writer() as writer, self._bar(start) as bar:
            for epoch in range(start, self.options.epochs):
                began = time.perf_counter()
                record = {**self.stage.about, "epoch": epoch, **self._train_epoch(epoch, bar)}
                rank, measured = self.stage.validate(epoch)
                self._check_finite("validation loss", -rank[1], epoch)
                record |= measured | {"lr": self.raw_optimizer.param_groups[0]["lr"]}
                record["seconds"] = time.perf_counter() - began
                if self.scheduler is not None:
                    self.scheduler.step()
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
        for batch in self.stage.batches(epoch):
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
            raise UserError(
                f"training diverged: the {name} of {self._of(epoch)} is {value}; train anew in another `out` with a "
                f"lower `lr` than {self.rate:g} or with `clip_norm` 1. {self._kept()}"
            )

    def _kept(self) -> str:
        if not self.history:
            return "No epoch had finished, so there is no checkpoint"
        return f"The checkpoint of epoch {self.history[-1]['epoch']} is kept in {self.folder.checkpoints}"

    def _keep(self, epoch: int, record: dict, rank: Sequence[float]) -> None:
        """Append the epoch's record; write checkpoints."""
        self.history.append(record)
        improved = self.best is None or tuple(rank) > tuple(self.best["rank"])
        if improved:
            self.best = {"epoch": epoch, "rank": list(rank)}
        if not self.accelerator.is_main_process:
            return
        network = self.stage.module.state_dict()
        if improved:
            checkpoint.save(self.folder.best_checkpoint, {"epoch": epoch, "network": network})
        content = {name: part.state_dict() for name, part in self._parts().items()}
        content |= {"run": self.folder.identity, "stage_name": self.stage.name, "epoch": epoch, "network": network}
        content |= {"processes": self.accelerator.num_processes, "history": self.history, "best": self.best}
        checkpoint.save(self.folder.last_checkpoint, content)
        self.folder.write_metrics(self.before + self.history)

    def _parts(self) -> dict[str, Any]:
        """What has a state beside the network."""
        parts = {"optimizer": self.raw_optimizer, "scheduler": self.scheduler, "modulation": self.modulation,
                 "stage": self.stage, "scaler": self.accelerator.scaler}  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}

    def _restore(self) -> int:
        """Take everything from the last checkpoint, if it is this stage's; the next epoch to train."""
        path = self.folder.last_checkpoint
        content = checkpoint.load(path) if path.exists() else {}
        if content:
            checkpoint.check(path, content, self.folder.identity, self.accelerator.num_processes)
        begun = bool(content) and content["stage_name"] == self.stage.name
        if begun:
            self.stage.module.load_state_dict(content["network"])
            for name, part in self._parts().items():
                part.load_state_dict(content[name])
            self.history, self.best = content["history"], content["best"]
        if self.accelerator.is_main_process:
            self.folder.write_metrics(self.before + self.history)
        return content["epoch"] + 1 if begun else 0

    def _bar(self, start: int) -> tqdm:
        steps = -(-self.stage.steps // self.accelerator.num_processes)
        shown = self.options.progress and self.accelerator.is_main_process
        name = self.folder.path.name + "".join(f", {name} {number + 1}" for name, number in self.stage.about.items())
        return tqdm(total=steps * self.options.epochs, initial=steps * start, desc=name, unit="batch",
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
