"""What the tasks that learn from features have alike: the rules of their options, defaults, checks, the optimiser."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from experiments.sweep.balance import of_methods
from experiments.sweep.options import DEFAULTS, PLATEAU, ReadBy, of_iemf, of_snn
from iemf.errors import UserError

RULES = (
    PLATEAU,
    *of_iemf(),
    *of_methods("balance"),
    of_snn("time_steps"),
    ReadBy(("momentum",), lambda run: run.optimizer == "sgd", "`optimizer` sgd"),
)


def with_optimizer(run: Any, defaults: Mapping[str, Any], rates: Mapping[str, float]) -> dict[str, Any]:
    """Defaults of a run with those of its optimiser, which may be another than theirs, and of every task.

    Args:
        run: as it was asked for.
        defaults: of its data set and recipe; name an optimiser.
        rates: learning rates of optimisers that are not theirs.
    """
    chosen = dict(defaults)
    if run.optimizer not in (None, chosen["optimizer"]):
        chosen |= {"optimizer": run.optimizer, "lr": rates[run.optimizer]}
    adaptive = chosen["optimizer"] == "adam"
    chosen["momentum"] = None if adaptive else chosen.get("momentum") or 0.0
    scales = {"scale": "step", "balance_scale": "step"} if adaptive else {"scale": "gradient"}
    return chosen | DEFAULTS | scales


def check_features(run: Any, embedded: str, folder: str) -> None:
    """Raise UserError for what does not fit a run.

    Args:
        run: with a ``dataset``, a ``data_root`` and a ``recipe``.
        embedded: the data set that comes with the toolkit.
        folder: what ``data_root`` is for the others, in words.
    """
    if (run.data_root is None) != (run.dataset == embedded):
        remedy = "is embedded; leave it out" if run.data_root else f"needs it: {folder}"
        raise UserError(f"`data_root` {run.data_root}: `dataset` {run.dataset} {remedy}")
    if run.dataset == embedded and run.recipe == "original":
        raise UserError(f"`recipe` original is an optimiser and epochs, and {embedded} has its own; leave it out")
    if run.recipe == "released" and run.network == "snn":
        raise UserError("`recipe` released has no activations that could spike; leave out `networks` snn or `recipe`")


def optimizer_of(run: Any, network: nn.Module) -> torch.optim.Optimizer:
    """SGD or Adam on all parameters; the layers of these networks are many and small.

    ``foreach`` computes the same, bit for bit, in loops of C++: on a CPU a quarter less time for Adam on av-digits-ci,
    which is 1 % of a step. Tensors that are larger than the processor's caches take a fifth more, of a step that takes
    seconds; so classification, whose convolutions are such, leaves it to torch.
    """
    common = {"lr": run.lr, "weight_decay": run.weight_decay, "foreach": True}
    if run.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=run.momentum, **common)
    return torch.optim.Adam(network.parameters(), **common)
