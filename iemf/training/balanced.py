"""What the stages with a fusion share: a balancing method that is asked in each step and after each epoch."""

from typing import NamedTuple

from torch import Tensor

from iemf.balance import Method
from iemf.balance.base import Readable
from iemf.training.stage import Outcome


class Asked(NamedTuple):
    """The ``output`` of such a stage's :class:`~iemf.training.stage.Outcome`: what the method's hook is asked about."""

    output: Readable
    labels: Tensor  # [B]


class Balanced:
    """The hooks of a stage whose loss and validation call ``balance`` themselves; before StageDefaults in a class."""

    balance: Method

    def on_gradients(self, outcome: Outcome, epoch: int) -> None:
        """The method's."""
        self.balance.on_gradients(*outcome.output, epoch)

    def state_dict(self) -> dict:
        """The method's."""
        return self.balance.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
        self.balance.load_state_dict(state)
