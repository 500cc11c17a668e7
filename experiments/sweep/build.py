"""What all tasks' runs are built of alike: IEMF and the balancing method; and of two of them, the optimiser."""

from typing import Any

import torch
from torch import nn

from iemf.balance import METHODS, Fusing, Method
from iemf.modulation import InverseEffectiveness, make_modulation


def optimizer_of(run: Any, network: nn.Module) -> torch.optim.Optimizer:
    """SGD or Adam on all parameters, for networks that read features: their layers are many and small.

    ``foreach`` computes the same, bit for bit, in loops of C++: on a CPU a quarter less time for Adam on av-digits-ci,
    which is 1 % of a step. Tensors that are larger than the processor's caches take a fifth more, of a step that takes
    seconds; so classification, whose convolutions are such, leaves it to torch.
    """
    common = {"lr": run.lr, "weight_decay": run.weight_decay, "foreach": True}
    if run.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=run.momentum, **common)
    return torch.optim.Adam(network.parameters(), **common)


def modulation_of(
    run: Any, network: Fusing, optimizer: torch.optim.Optimizer, seed: int
) -> InverseEffectiveness | None:
    """ξ on the fusion layer, of the runs with it; None for vanilla and joint learning.

    Args:
        run: resolved.
        network: whose ``fusion`` is modulated.
        optimizer: of its parameters.
        seed: of the noise of the released recipe.
    """
    if run.variant != "iemf":
        return None
    return make_modulation(
        network.fusion.parameters(), optimizer, gamma=run.gamma, gate=run.gate, scale=run.scale,
        released=run.recipe == "released", seed=seed,
    )  # fmt: skip


def balance_of(run: Any, name: str, network: Fusing, optimizer: torch.optim.Optimizer, seed: int) -> Method:
    """The balancing method ``name``, on a network that is already on its device; ``seed``: of its random numbers."""
    method = METHODS[name](network, seed=seed, recipe="released" if run.recipe == "released" else "paper")
    if method.has_factors:
        method.use_optimizer(optimizer, run.balance_scale)
    if method.has_schedule:
        method.use_epochs(run.epochs, run.method_epochs)
    return method
