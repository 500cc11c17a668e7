"""What the stages with a fusion share: a balancing method that is asked in each step, and around each epoch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from iemf.balance import Method
from iemf.balance.base import Readable
from iemf.seeds import Stream, mix_seed
from iemf.training.alone import learn_alone
from iemf.training.stage import Outcome


class Asked(NamedTuple):
    """The ``output`` of such a stage's :class:`~iemf.training.stage.Outcome`: what the method's hook is asked about."""

    output: Readable
    labels: Tensor  # [B]


class Balanced:
    """The hooks of a stage whose loss and validation call ``balance`` themselves, and whose ``batches`` call
    ``begin_epoch``; before StageDefaults in a class.

    It is also the :class:`iemf.balance.TrainingRows` of its method. For that a stage says ``trained`` and ``held``
    (:func:`hold_out`), what it makes of rows, ``asked``, and what an epoch's batches are, ``in_order``.
    """

    balance: Method
    module: nn.Module
    accelerator: Accelerator
    trained: Sequence[int]
    held: Sequence[int]
    # (rows, epoch) -> batches of this process's share of these training rows in an epoch, by ``module`` as it is.
    asked: Callable[[Sequence[int], int], Iterator[Asked]]
    # epoch -> its batches, without the method's hook before them.
    in_order: Callable[[int], Iterable[Any]]

    @torch.no_grad()
    def outputs(self, rows: Sequence[int], epoch: int) -> Iterator[Asked]:
        """What ``asked`` gives, evaluated; the module is as it was behind the last one."""
        trains = self.module.training
        self.module.eval()
        yield from self.asked(rows, epoch)
        self.module.train(trains)

    def alone(self, name: str, epochs: range, optimizer: torch.optim.Optimizer) -> "Balanced":
        """The stage with a copy of the network that has learnt from one loss alone."""
        return learn_alone(self, name, epochs, optimizer, self.accelerator)

    def begin_epoch(self, epoch: int) -> None:
        """Before an epoch's steps."""
        self.balance.on_epoch(epoch, self)

    def before_backward(self, outcome: Outcome, scale: Callable[[Tensor], Tensor]) -> None:
        """The method's."""
        self.balance.before_backward(outcome.losses, scale)

    def on_gradients(self, outcome: Outcome, epoch: int) -> None:
        """The method's."""
        self.balance.on_gradients(*outcome.output, epoch)

    def state_dict(self) -> dict:
        """The method's."""
        return self.balance.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
        self.balance.load_state_dict(state)


def hold_out(rows: Sequence[int], share: float, *seed: int) -> tuple[list[int], list[int]]:
    """(trained, held) parts of training rows, each in the given order; ``share`` of them, drawn with a seed, are held.

    A share above 0 holds at least one row, and leaves at least one.

    >>> hold_out([4, 5, 6], 0.0, 1)
    ([4, 5, 6], [])
    """
    rows = list(rows)
    if share <= 0 or len(rows) < 2:
        return rows, []
    count = min(max(round(share * len(rows)), 1), len(rows) - 1)
    generator = torch.Generator().manual_seed(mix_seed(Stream.HELD_OUT, *seed))
    held = set(torch.randperm(len(rows), generator=generator)[:count].tolist())
    return [row for i, row in enumerate(rows) if i not in held], [row for i, row in enumerate(rows) if i in held]
