"""The options of a class-incremental run, and what they default to for each benchmark."""

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from experiments.options import Network, Variant, plain
from iemf.errors import UserError

ContinualMethod = Literal["fine-tuning", "lwf", "ssil", "av-cil"]

BENCHMARKS = {
    # Ours and small: fewer and smaller steps than the published 100 to 200 epochs, so that a grid takes minutes.
    "av-digits-ci": {"optimizer": "adam", "lr": 1e-3, "weight_decay": 1e-4, "epochs": 20, "batch_size": 32,
                     "features": 128, "memory": 50, "instance": 0.5, "category": 1.0},
}  # fmt: skip


@dataclass(frozen=True)
class ContinualShared:
    """What every run of a comparison shares. None stands for the default of the benchmark."""

    dataset: Literal["av-digits-ci"] = "av-digits-ci"
    """av-digits-ci is embedded (extra "digits"): five tasks of two digits."""
    epochs: int | None = None
    """Of each task."""
    batch_size: int | None = None
    """Samples of the task in a step; as many exemplars come on top."""
    optimizer: Literal["sgd", "adam"] | None = None
    lr: float | None = None
    weight_decay: float | None = None
    features: int | None = None
    """F, what the classifier sees."""
    memory: int | None = None
    """ssil, av-cil: exemplars in all."""
    instance: float | None = None
    """av-cil: λ_I."""
    category: float | None = None
    """av-cil: λ_C."""
    gamma: float = 1.0
    """iemf: γ of Eq. 10."""
    time_steps: int = 4
    """snn: T."""


@dataclass(frozen=True)
class ContinualRun(ContinualShared):
    """One method on one benchmark with one seed."""

    network: Network = "ann"
    method: ContinualMethod = "av-cil"
    variant: Variant = "vanilla"
    seed: int = 0
    out: Path = Path("runs/continual/run")
    progress: bool = True

    def stored(self) -> dict:
        """As plain JSON values, for config.json."""
        return {name: plain(value) for name, value in asdict(self).items()}


def resolve(run: ContinualRun) -> ContinualRun:
    """Fill in the defaults; refuse values out of range.

    Raises:
        UserError: naming the option and its value.
    """
    defaults = dict(BENCHMARKS[run.dataset])
    optimizer = run.optimizer or defaults["optimizer"]
    if run.optimizer is not None and run.optimizer != defaults["optimizer"]:
        defaults |= {"lr": {"sgd": 1e-2, "adam": 1e-3}[optimizer]}
    missing = {name: value for name, value in defaults.items() if getattr(run, name) is None}
    run = replace(run, **missing)
    for name, least in {"epochs": 1, "batch_size": 1, "features": 1, "memory": 1, "time_steps": 1, "seed": 0,
                        "weight_decay": 0, "instance": 0, "category": 0}.items():  # fmt: skip
        if not least <= getattr(run, name) < math.inf:
            raise UserError(f"--{name.replace('_', '-')} {getattr(run, name)} must be {least} or more")
    for name in ("lr", "gamma"):
        if not 0 < getattr(run, name) < math.inf:
            raise UserError(f"--{name} {getattr(run, name)} must be a positive finite number")
    return run


def shared_options(config: ContinualShared) -> dict:
    """The fields that runs take over from a comparison."""
    return {field.name: getattr(config, field.name) for field in fields(ContinualShared)}
