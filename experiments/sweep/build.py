"""What all tasks' runs are built of alike: IEMF and the balancing method."""

from typing import Any

import torch

from iemf.balance import METHODS, Fusing, Method
from iemf.factory import make_modulation
from iemf.modulation import InverseEffectiveness
from iemf.training.step import Window


def window_of(run: Any) -> Window:
    """Epochs with ξ, of a resolved run."""
    return Window(run.modulate_from or 0, run.modulate_to)


def modulation_of(
    run: Any, network: Fusing, optimizer: torch.optim.Optimizer, seed: int
) -> InverseEffectiveness | None:
    """ξ on the fusion layer, of the runs with it; None for vanilla and joint learning.

    Args:
        run: resolved.
        network: whose ``fusion`` is modulated.
        optimizer: of its parameters.
        seed: of the noise of the released recipe, and of a shuffled ξ.
    """
    if run.variant != "iemf":
        return None
    return make_modulation(
        network.fusion.parameters(), optimizer, gamma=run.gamma, gate=run.gate, scale=run.scale,
        released=run.recipe == "released", seed=seed, xi=run.xi,
    )  # fmt: skip


def heads_train(run: Any, name: str) -> bool:
    """Whether the heads' losses reach the encoders, in a run with the balancing method ``name``."""
    return run.variant != "vanilla" or METHODS[name].needs_heads


def balance_of(run: Any, name: str, network: Fusing, optimizer: torch.optim.Optimizer, seed: int) -> Method:
    """The balancing method ``name``, on a network that is already on its device; ``seed``: of its random numbers."""
    method = METHODS[name](network, seed=seed, recipe="released" if run.recipe == "released" else "paper")
    if method.has_factors or method.needs_optimizer:
        method.use_optimizer(optimizer, run.balance_scale)
    if method.has_schedule:
        method.use_epochs(run.epochs, run.method_epochs)
    if run.method_constant is not None:
        method.use_constant(run.method_constant)
    return method
