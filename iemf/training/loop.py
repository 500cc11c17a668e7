"""The training loop: one for every network, method and data set.

A step is forward, losses, backward, unscale, the method's gradient hook, ξ on the fusion layer, clip, optimiser step.
Validation chooses the epoch; the test split is read once, by :meth:`Trainer.test`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from tqdm import tqdm

from iemf.balance.base import Accuracies, Method
from iemf.balance.inverse_effectiveness import InverseEffectiveness
from iemf.data.base import AudioVisualData, Batch, evaluation_loader, training_loader
from iemf.errors import UserError
from iemf.network import AudioVisualNetwork
from iemf.processes import sum_over_processes
from iemf.training import checkpoint
from iemf.training.evaluate import evaluate
from iemf.training.record import RunFolder

# One column each of the running totals, which stay on the device until the epoch ends.
TOTALS = ("samples", "loss", "loss_fused", "loss_audio", "loss_visual", "correct_audio", "correct_visual",
          "correct_fused", "batches", "xi", "unimodal", "fused", "without_evidence")  # fmt: skip


@dataclass
class TrainingOptions:
    """How long and how fast; the optimiser comes ready-made."""

    epochs: int
    batch_size: int
    seed: int
    workers: int = 0
    clip_norm: float | None = None
    modulate_from: int = 0
    progress: bool = True


class Trainer:
    """Trains one network on one data set into one run folder.

    Args:
        network: the network itself, not its distributed wrapper.
        method: the balancing method; its hooks see unscaled gradients.
        modulation: IEMF, or None for vanilla and joint learning.
        optimizer, scheduler: a ``torch.optim`` optimiser of the network's parameters; the scheduler steps per epoch.
        data, options, folder, accelerator: what, how, where to, and on which devices.
    """

    def __init__(
        self,
        network: AudioVisualNetwork,
        method: Method,
        modulation: InverseEffectiveness | None,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        data: AudioVisualData,
        options: TrainingOptions,
        folder: RunFolder,
        accelerator: Accelerator,
    ) -> None:
        self.network, self.method, self.modulation = network, method, modulation
        self.scheduler, self.data, self.options, self.folder = scheduler, data, options, folder
        self.accelerator = accelerator
        self.raw_optimizer = optimizer
        train, self.sampler = training_loader(data.train, options.batch_size, options.seed, options.workers)
        evaluations = [evaluation_loader(split, options.batch_size, options.workers) for split in (data.val, data.test)]
        self.prepared, self.optimizer, self.train_loader, self.val_loader, self.test_loader = accelerator.prepare(
            network, optimizer, train, *evaluations
        )
        self.front_end = data.front_end.to(accelerator.device)
        self.history: list[dict] = []
        self.best: dict | None = None

    def fit(self, resume: bool = False) -> None:
        """Train to the last epoch, from the last checkpoint if ``resume`` and there is one.

        Raises:
            UserError: the loss is not finite, or S_av was 0; the checkpoint of the epoch before is kept.
        """
        start = self._restore() if resume and self.folder.last_checkpoint.exists() else 0
        with self._writer(start) as writer, self._bar(start) as bar:
            for epoch in range(start, self.options.epochs):
                began = time.perf_counter()
                record = {"epoch": epoch, **self._train_epoch(epoch, bar)}
                accuracies, loss = evaluate(self.prepared, self.front_end, self.val_loader, self.accelerator)
                self._check_finite("validation loss", loss, epoch)
                record |= {f"val_accuracy_{name}": value for name, value in accuracies._asdict().items()}
                record |= {"val_loss": loss, "lr": self.raw_optimizer.param_groups[0]["lr"]}
                record["seconds"] = time.perf_counter() - began
                self.method.on_validation(accuracies, epoch)
                self.scheduler.step()
                self._keep(epoch, record, accuracies, loss)
                if writer is not None:
                    for name, value in record.items():
                        if name != "epoch" and value is not None:
                            writer.add_scalar(name, value, epoch)
                bar.set_postfix_str(f"val {accuracies.fused:.1f} %")

    def test(self) -> Accuracies:
        """Accuracies in percent of the best epoch's weights on the test split."""
        self.accelerator.wait_for_everyone()  # the main process may still be writing it
        self.network.load_state_dict(checkpoint.load(self.folder.best_checkpoint)["network"])
        return evaluate(self.prepared, self.front_end, self.test_loader, self.accelerator)[0]

    def _train_epoch(self, epoch: int, bar: tqdm) -> dict:
        self.data.set_epoch(epoch)
        self.sampler.epoch = epoch
        self.prepared.train()
        self.front_end.train()
        totals = torch.zeros(len(TOTALS), dtype=torch.float64, device=self.accelerator.device)
        for batch in self.train_loader:
            totals += self._step(batch, epoch)
            bar.update()
        sums = dict(zip(TOTALS, sum_over_processes(totals).tolist(), strict=True))
        self._check_finite("loss", sums["loss"], epoch)
        if sums["without_evidence"]:
            raise UserError(
                f"S_av was 0 in {sums['without_evidence']:.0f} batch(es) of epoch {epoch}: the fused logits give the "
                f"true class no probability at all, so ξ (Eq. 10) is undefined; train anew in another "
                f"--out with a lower --lr. {self._kept()}"
            )
        record = {name: sums[name] / sums["samples"] for name in TOTALS if name.startswith("loss")}
        record |= {f"train_accuracy_{m}": 100 * sums[f"correct_{m}"] / sums["samples"] for m in Accuracies._fields}
        modulated = self.modulation is not None and epoch >= self.options.modulate_from
        for column, name in (("xi", "xi"), ("unimodal", "s_unimodal"), ("fused", "s_fused")):
            record[name] = sums[column] / sums["batches"] if modulated else None
        return record

    def _step(self, batch: Batch, epoch: int) -> Tensor:
        labels = batch.label
        output = self.prepared(*self.front_end(batch.audio, batch.visual))
        loss_fused = self.method.loss(output, labels, epoch)
        loss_audio = F.cross_entropy(output.logits.audio, labels)
        loss_visual = F.cross_entropy(output.logits.visual, labels)
        loss = loss_fused + loss_audio + loss_visual
        self.accelerator.backward(loss)
        self.accelerator.unscale_gradients(self.optimizer)
        self.method.on_gradients(output, labels, epoch)
        zero = loss.new_zeros(())
        xi, unimodal, fused = zero, zero, zero + 1
        if self.modulation is not None and epoch >= self.options.modulate_from:
            logits = output.logits
            xi = self.modulation.modulate([logits.audio, logits.visual], logits.fused, labels)
            unimodal, fused = self.modulation.unimodal, self.modulation.fused
        if self.options.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            n = float(len(labels))
            losses = torch.stack([loss, loss_fused, loss_audio, loss_visual]).detach() * n
            correct = [(logits.argmax(1) == labels).sum() for logits in output.logits]
            return torch.stack(
                [zero + n, *losses, *correct, zero + 1, xi, unimodal, fused, (fused == 0).to(zero.dtype)]
            ).double()  # fmt: skip

    def _check_finite(self, name: str, value: float, epoch: int) -> None:
        if not abs(value) < float("inf"):
            lr = self.raw_optimizer.param_groups[0]["initial_lr"]  # as the user gave it; the scheduler keeps it
            raise UserError(
                f"training diverged: the {name} of epoch {epoch} is {value}; train anew in another --out with a lower "
                f"--lr than {lr:g} or with --clip-norm 1. {self._kept()}"
            )

    def _kept(self) -> str:
        if not self.history:
            return "No epoch had finished, so there is no checkpoint"
        return f"The checkpoint of epoch {self.history[-1]['epoch']} is kept in {self.folder.checkpoints}"

    def _keep(self, epoch: int, record: dict, accuracies: Accuracies, loss: float) -> None:
        """Append the epoch's record; write checkpoints. Best: highest validation accuracy, then lowest loss."""
        self.history.append(record)
        rank = (accuracies.fused, -loss)
        improved = self.best is None or rank > tuple(self.best["rank"])
        if improved:
            self.best = {"epoch": epoch, "rank": list(rank)}
        states = gather_object([checkpoint.random_states()])
        if not self.accelerator.is_main_process:
            return
        network = self.network.state_dict()
        if improved:
            checkpoint.save(self.folder.best_checkpoint, {"epoch": epoch, "network": network})
        scaler = self.accelerator.scaler
        content = {
            "epoch": epoch,
            "network": network,
            "optimizer": self.raw_optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "method": self.method.state_dict(),
            "modulation": None if self.modulation is None else self.modulation.state_dict(),
            "random": states,
            "history": self.history,
            "best": self.best,
        }
        checkpoint.save(self.folder.last_checkpoint, content)
        self.folder.write_metrics(self.history)

    def _restore(self) -> int:
        """Take everything from the last checkpoint; the next epoch to train."""
        content = checkpoint.load(self.folder.last_checkpoint)
        self.network.load_state_dict(content["network"])
        self.raw_optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        if content["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(content["scaler"])
        self.method.load_state_dict(content["method"])
        if self.modulation is not None:
            self.modulation.load_state_dict(content["modulation"])
        if len(content["random"]) != self.accelerator.num_processes:
            raise UserError(
                f"{self.folder.last_checkpoint} is of a run with {len(content['random'])} process(es), this one has "
                f"{self.accelerator.num_processes}; resume with as many"
            )
        checkpoint.restore_random_states(content["random"][self.accelerator.process_index])
        self.history, self.best = content["history"], content["best"]
        if self.accelerator.is_main_process:
            self.folder.write_metrics(self.history)
        return content["epoch"] + 1

    def _bar(self, start: int) -> tqdm:
        steps = len(self.train_loader)
        shown = self.options.progress and self.accelerator.is_main_process
        return tqdm(total=steps * self.options.epochs, initial=steps * start, desc=self.folder.path.name,
                    unit="batch", disable=not shown, dynamic_ncols=True)  # fmt: skip

    @contextmanager
    def _writer(self, start: int) -> Iterator:
        if not self.accelerator.is_main_process:
            yield None
            return
        from torch.utils.tensorboard import SummaryWriter  # seconds to import, so not before it is needed

        with SummaryWriter(str(self.folder.path / "tensorboard"), purge_step=start) as writer:
            yield writer
