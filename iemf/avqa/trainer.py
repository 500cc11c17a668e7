"""The loop of question answering: epochs over one split, validation chooses, a checkpoint after each epoch.

Both stages of ST-AVQA run through it, and the baseline's only one; what is trained is a :class:`Stage`.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, Dataset
from tqdm import tqdm

from iemf.ahead import read_ahead
from iemf.errors import UserError
from iemf.seeds import Stream, mix_seed
from iemf.training import checkpoint
from iemf.training.record import RunFolder


class Stage(Protocol):
    """What the loop asks of what it trains."""

    module: nn.Module

    def loss(self, batch: Any, generator: torch.Generator) -> Tensor:
        """Of one batch, a 0-dim tensor with a gradient; random numbers come from ``generator``, on the CPU."""

    def on_gradients(self) -> Tensor | None:
        """Between backward and step: change gradients, and give ξ if there is one."""

    def state_dict(self) -> dict:
        """What outlives a step beside the module, as plain values and tensors."""

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""

    def validate(self) -> tuple[tuple[float, ...], dict]:
        """(rank, record): the greater rank is the better epoch."""


@dataclass(frozen=True)
class AVQAOptions:
    """How long, in what batches, from what seed."""

    epochs: int
    batch_size: int
    seed: int
    progress: bool = True


def move(batch: Any, device: torch.device) -> Any:
    """A named tuple of tensors on the device, features in float32."""
    parts = (part.to(device, non_blocking=True) for part in batch)
    return type(batch)(*(part.float() if part.is_floating_point() else part for part in parts))


def batches(split: Dataset, rows: list[int], size: int, device: torch.device) -> Iterator[Any]:
    """Batches of rows in this order on the device; the next is read, and pinned, while one is worked on."""

    def read(part: list[int]) -> Any:
        batch = split.__getitems__(part)
        return type(batch)(*(tensor.pin_memory() for tensor in batch)) if device.type == "cuda" else batch

    for batch in read_ahead(BatchSampler(rows, size, drop_last=False), read):
        yield move(batch, device)


class AVQATrainer:
    """Trains one stage on one split into one run folder.

    Args:
        stage: its module is on its device.
        train: whose ``__getitems__`` gives whole batches.
        options, folder: how long, and where to.
        optimizer: of the stage's parameters.
        schedule: of the learning rate, stepped once an epoch.
    """

    def __init__(
        self,
        stage: Stage,
        train: Dataset,
        options: AVQAOptions,
        folder: RunFolder,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    ) -> None:
        self.stage, self.train, self.options, self.folder = stage, train, options, folder
        self.optimizer, self.schedule = optimizer, schedule
        self.device = next(stage.module.parameters()).device
        self.history: list[dict] = []
        self.best_rank: tuple[float, ...] | None = None
        self.best_epoch = 0
        self.best: dict[str, Tensor] = {}

    def fit(self, resume: bool = False) -> list[dict]:
        """Train, and leave the module with the weights of the best epoch; one record an epoch.

        Raises:
            UserError: the loss is not finite; finished epochs are kept.
        """
        if resume and self.folder.last_checkpoint.exists():
            self._restore()
        first = len(self.history)
        bar = tqdm(range(first, self.options.epochs), self.folder.path.name, initial=first, total=self.options.epochs,
                   unit="epoch", disable=not self.options.progress, dynamic_ncols=True, leave=False)  # fmt: skip
        for epoch in bar:
            record = {"epoch": epoch, **self._epoch(epoch)}
            rank, measured = self.stage.validate()
            self.history.append(record | measured)
            if self.best_rank is None or rank > self.best_rank:
                self.best_rank, self.best_epoch = rank, epoch
                self.best = copy.deepcopy(self.stage.module.state_dict())
            self._keep()
            bar.set_postfix({name: f"{value:.2f}" for name, value in measured.items()})
        self.stage.module.load_state_dict(self.best)
        return self.history

    def _epoch(self, epoch: int) -> dict:
        seed = self.options.seed
        # Begun anew each epoch, these need no place in a checkpoint.
        torch.manual_seed(mix_seed(Stream.DROPOUT, seed, epoch))
        generator = torch.Generator().manual_seed(mix_seed(Stream.PAIRS, seed, epoch))
        order = torch.Generator().manual_seed(mix_seed(Stream.ORDER, seed, epoch))
        rows = torch.randperm(len(self.train), generator=order).tolist()
        self.stage.module.train()
        totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        modulated = False
        for batch in batches(self.train, rows, self.options.batch_size, self.device):
            loss = self.stage.loss(batch, generator)
            loss.backward()
            xi = self.stage.on_gradients()
            modulated = xi is not None
            self.optimizer.step()
            self.optimizer.zero_grad()
            totals += torch.stack([loss.detach(), loss.new_zeros(()) if xi is None else xi, loss.new_ones(())]).double()
        if self.schedule is not None:
            self.schedule.step()
        loss, xi, steps = totals.tolist()
        if not abs(loss) < float("inf"):
            raise UserError(f"training diverged: the loss of epoch {epoch} is {loss}; train anew in another --out with "
                            f"a lower --lr")  # fmt: skip
        return {"loss": loss / steps, "xi": xi / steps if modulated else None}

    def _keep(self) -> None:
        content = {
            "module": self.stage.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "history": self.history,
            "best": self.best,
            "best_rank": list(self.best_rank),
            "best_epoch": self.best_epoch,
            "stage": self.stage.state_dict(),
        }
        checkpoint.save(self.folder.last_checkpoint, content)
        self.folder.write_metrics(self.history)

    def _restore(self) -> None:
        content = checkpoint.load(self.folder.last_checkpoint)
        self.stage.module.load_state_dict(content["module"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.stage.load_state_dict(content["stage"])
        if self.schedule is not None:
            self.schedule.load_state_dict(content["schedule"])
        self.history, self.best = content["history"], content["best"]
        self.best_rank, self.best_epoch = tuple(content["best_rank"]), content["best_epoch"]
        self.folder.write_metrics(self.history)
