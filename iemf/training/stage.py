"""What the loop asks of what it trains: the one face that classification, every task of class-incremental learning and
both stages of question answering show it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from iemf.logits import Logits
from iemf.modulation import InverseEffectiveness

Rank = tuple[float, float]  # (accuracy in percent, -loss): the greater is the better epoch, the first of equals is kept


class Evidence(NamedTuple):
    """What ξ is computed from: logits, and the classes [B] that are true."""

    logits: Logits
    labels: Tensor


class Outcome(NamedTuple):
    """What a stage makes of one batch.

    ``totals`` are 0-dim tensors on the device, summed over the samples, the same names in every batch; "loss" is one of
    them. ``output`` is whatever the stage's own gradient hook needs.
    """

    loss: Tensor  # 0-dim, to go backward from
    samples: int
    totals: dict[str, Tensor]
    evidence: Evidence | None = None  # None where there is no fusion to modulate
    output: Any = None
    losses: Mapping[str, Tensor] = {}  # by name, whose sum is ``loss`` but for what has no name


class Stage(Protocol):
    """One training, from initial weights to the best epoch's.

    ``batches`` and ``validate`` see to the processes of a distributed run: each process gets its share of the batches,
    and every process gets the same measurements, of the whole split.
    """

    name: str  # unlike that of the run's other stages; stored in checkpoints
    module: nn.Module  # on its device; its parameters are trained
    about: dict[str, int]  # what opens each record of an epoch, beside its number
    steps: int  # of an epoch, which all processes take together
    modulation: InverseEffectiveness | None  # set by the loop: ξ of what is evaluated (iemf.training.effects)

    def batches(self, epoch: int) -> Iterable[Any]:
        """Of one epoch, on the device; what is random depends on the run's seed and ``epoch`` alone."""
        ...

    def loss(self, network: nn.Module, batch: Any, epoch: int) -> Outcome:
        """Of one batch. ``network`` is ``module``, or its wrapper for several processes: call it, and nothing else."""
        ...

    def before_backward(self, outcome: Outcome, scale: Callable[[Tensor], Tensor]) -> None:
        """Look at the losses before backward, which ``scale`` multiplies in mixed precision; the graph has to stay."""
        ...

    def on_gradients(self, outcome: Outcome, epoch: int) -> None:
        """Change gradients in place, between backward (unscaled) and ξ."""
        ...

    def validate(self, epoch: int) -> tuple[Rank, dict[str, float]]:
        """(rank, what goes into the record) of ``module`` as it is."""
        ...

    def chance(self) -> float | None:
        """Percent of an epoch's training samples that are of the most frequent class; None where there are no
        classes, or nobody knows. It stands in the records beside the training accuracy."""
        ...

    def explain(self) -> None:
        """Raise UserError if the data are to blame for a loss that is not finite."""
        ...

    def state_dict(self) -> dict:
        """What outlives an epoch beside the module, as plain values and tensors."""
        ...

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
        ...


class StageDefaults:
    """A stage without hooks, state or suspicions of its own."""

    def __init__(self) -> None:
        self.about: dict[str, int] = {}
        self.modulation: InverseEffectiveness | None = None

    def before_backward(self, outcome: Outcome, scale: Callable[[Tensor], Tensor]) -> None:
        """Nothing."""

    def on_gradients(self, outcome: Outcome, epoch: int) -> None:
        """Nothing."""

    def chance(self) -> float | None:
        """Nobody knows."""
        return None

    def explain(self) -> None:
        """Nothing."""

    def state_dict(self) -> dict:
        """Nothing outlives an epoch."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
