"""Controls of the rule (He et al. 2025, Eq. 10-11): what it does if ξ does not answer to the batch.

    FixedCoefficient      ξ is one number: is IEMF more than another learning rate of the fusion layer?
    ShuffledCoefficient   ξ is that of another batch: the distribution of ξ stays, its match with the batch goes

Both measure S_uni and S_av as :class:`iemf.modulation.InverseEffectiveness` does, and are called as it is.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from iemf.coefficient import Gate
from iemf.modulation import InverseEffectiveness, Reduce
from iemf.processes import sum_over_processes

MEMORY = 64  # batches whose ξ is drawn from


class FixedCoefficient(InverseEffectiveness):
    """ξ is ``xi`` whatever the batch. With 1 on the gradient it is joint learning, bit for bit.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> FixedCoefficient(layer.parameters(), 0.5).coefficient(torch.tensor(0.1), torch.tensor(0.9))
        tensor(0.5000)

    Args:
        parameters, scale, optimizer, reduce: as of :class:`iemf.modulation.InverseEffectiveness`.
        xi: ξ, a finite number of 0 or more; with 0 the fusion layer does not learn.

    Raises:
        TypeError, ValueError: as there, and for ``xi`` out of range.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        xi: float,
        scale: str = "gradient",
        *,
        optimizer: torch.optim.Optimizer | None = None,
        reduce: Reduce = sum_over_processes,
    ) -> None:
        super().__init__(parameters, scale=scale, optimizer=optimizer, reduce=reduce)
        check_xi(xi)
        self.xi = xi

    def coefficient(self, unimodal: Tensor, fused: Tensor) -> Tensor:
        """``xi`` in the shape of ``unimodal``."""
        return torch.full_like(unimodal, self.xi)


class ShuffledCoefficient(InverseEffectiveness):
    """ξ of a batch is drawn at random from those that were measured (Eq. 10) in the last :data:`MEMORY` batches before
    it; the first batch has its own. Drawn on the CPU, so nothing waits for the device.

    Args:
        parameters, gamma, gate, scale, optimizer, reduce: as of :class:`iemf.modulation.InverseEffectiveness`.
        seed: of the draws; the same on every replica, which then all draw the same.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        gamma: float = 1.0,
        gate: Gate = torch.tanh,
        scale: str = "gradient",
        *,
        seed: int = 0,
        optimizer: torch.optim.Optimizer | None = None,
        reduce: Reduce = sum_over_processes,
    ) -> None:
        super().__init__(parameters, gamma, gate, scale, optimizer=optimizer, reduce=reduce)
        self.generator = torch.Generator().manual_seed(seed)
        self.measured: list[Tensor] = []  # ξ of the last batches, oldest first, 0-dim on the device

    @torch.no_grad()
    def apply(self, xi: Tensor) -> None:
        """Remember ``xi``, which was measured, and apply one that was measured before."""
        drawn = drawn_from(self.measured, self.generator) if self.measured else xi
        self.measured = [*self.measured, xi][-MEMORY:]
        super().apply(drawn)

    def repeat(self) -> None:
        """Apply once more what was applied last; nothing is measured or drawn."""
        if self.last is not None:
            super().apply(self.last)

    def state_dict(self) -> dict:
        """The last ξ, those that are drawn from, and the generator."""
        return super().state_dict() | {"measured": list(self.measured), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.measured = [xi.to(self.parameters[0].device) for xi in state["measured"]]
        self.generator.set_state(state["generator"].cpu())


def drawn_from(values: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """One of ``values``, each as likely as any other."""
    return values[int(torch.randint(len(values), (), generator=generator))]


def check_xi(xi: float) -> None:
    """Raise ValueError unless a fixed ξ is a finite number of 0 or more."""
    if not 0 <= xi < float("inf"):
        raise ValueError(f"xi must be a finite number of 0 or more, got {xi}")
