"""IEMF from a run's options: the rule, the released code's form of it, or a control."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from iemf.coefficient import GATES
from iemf.controls import FixedCoefficient, ShuffledCoefficient
from iemf.modulation import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.scaling import default_scale


def make_modulation(
    parameters: Iterable[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    *,
    gamma: float = 1.0,
    gate: str = "tanh",
    scale: str | None = None,
    released: bool = False,
    seed: int = 0,
    xi: float | Literal["shuffled"] | None = None,
) -> InverseEffectiveness:
    """IEMF of a run, from its options: what every task of this toolkit builds it with.

    Args:
        parameters: the fusion layer's.
        optimizer: that updates them.
        gamma: γ.
        gate: a key of :data:`iemf.coefficient.GATES`.
        scale: "gradient" or "step"; None: the gradient for SGD, the step for every other optimiser, which would cancel
            most of a factor on the gradient.
        released: as the code released with He et al. 2025, which adds noise where it scales the gradient.
        seed: of that noise, and of what is shuffled.
        xi: None: Eq. 10. A control (:mod:`iemf.controls`) otherwise: the number that ξ is, and γ and the gate are not
            read; or "shuffled".

    Raises:
        ValueError: ``released`` with a control, and as of :class:`InverseEffectiveness`.
    """
    scale = scale or default_scale(optimizer)
    if xi is not None and released:
        raise ValueError(f"the released code measures ξ, and has no xi={xi!r}")
    if xi == "shuffled":
        return ShuffledCoefficient(parameters, gamma, GATES[gate], scale, seed=seed, optimizer=optimizer)
    if xi is not None:
        return FixedCoefficient(parameters, xi, scale, optimizer=optimizer)
    if released and scale == "gradient":
        return ReleasedInverseEffectiveness(parameters, GATES[gate], seed=seed, optimizer=optimizer)
    return InverseEffectiveness(parameters, gamma, GATES[gate], scale, optimizer=optimizer)
