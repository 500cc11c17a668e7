"""The options of a class-incremental run, and what they default to for each benchmark and recipe."""

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import tyro

from experiments import published
from experiments.options import Network, Variant, plain
from iemf.errors import UserError

ContinualMethod = Literal["fine-tuning", "lwf", "ssil", "av-cil"]

# Ours and small: fewer and smaller steps than the published 100 to 200 epochs, so that a grid takes minutes.
EMBEDDED = {"optimizer": "adam", "lr": 1e-3, "weight_decay": 1e-4, "epochs": 20, "batch_size": 32,
            "exemplar_batch_size": 32, "features": 128, "memory": 50, "instance": 0.5, "category": 1.0}  # fmt: skip
# Pian et al. 2023, whose code He et al. 2025 build on: what the latter do not state is theirs.
PUBLISHED = {"weight_decay": 1e-4, "batch_size": 256, "exemplar_batch_size": 128, "features": 768, "category": 1.0}
PAPER = {"optimizer": "sgd", "lr": 1e-2, "epochs": 100}
ADAM = {"optimizer": "adam", "lr": 1e-3}
RECIPES = {"paper": PAPER, "original": ADAM | {"epochs": 200}, "released": PAPER}
BENCHMARKS = {
    "ave-ci": {"memory": 340, "instance": 0.5},
    "k-s-ci": {"memory": 500, "instance": 0.1},
    "vs100-ci": {"memory": 1500, "instance": 0.1},
}
RELEASED_WINDOW = (20, 70)  # epochs of a task in which the released AV-CIL has ξ


@dataclass(frozen=True)
class ContinualShared:
    """What every run of a comparison shares. None stands for the default of the benchmark and the recipe."""

    dataset: Literal["av-digits-ci", "ave-ci", "k-s-ci", "vs100-ci"] = "av-digits-ci"
    """av-digits-ci is embedded (extra "digits"): five tasks of two digits. The others need --data-root."""
    data_root: Path | None = None
    """Features: of experiments.extract, or the public AV-CIL release (docs/features.md)."""
    recipe: Literal["paper", "original", "released"] = "paper"
    """paper: He et al. 2025. original: the optimiser and epochs of Pian et al. 2023. released: as the code released
    with He et al. 2025, without attention distillation and activations, ξ of av-cil in epochs 20 to 69 alone.
    av-digits-ci has an optimiser and epochs of its own, so original is nothing to it."""
    tasks: int | None = None
    """How many tasks of equal size."""
    epochs: int | None = None
    """Of each task."""
    batch_size: int | None = None
    """Samples of the task in a step; exemplars come on top."""
    exemplar_batch_size: int | None = None
    """ssil, av-cil: exemplars in a step."""
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
    data_digest: tyro.conf.Suppress[str | None] = None

    def stored(self) -> dict:
        """As plain JSON values, for config.json; what the paper has for it comes first."""
        content = {name: plain(value) for name, value in asdict(self).items()}
        said = published.continual_sentence(self.dataset, self.method, self.variant) if self.network == "ann" else None
        return {"paper": said} | content if said else content

    @property
    def window(self) -> tuple[int, int] | None:
        """Epochs of a task in which ξ is applied: (first, first without); None for all."""
        return RELEASED_WINDOW if self.recipe == "released" and self.method == "av-cil" else None


def defaults(run: ContinualRun) -> dict:
    """What options left open are set to."""
    if run.dataset == "av-digits-ci":
        return dict(EMBEDDED)
    chosen = PUBLISHED | RECIPES[run.recipe] | BENCHMARKS[run.dataset]
    if run.dataset == "vs100-ci" and run.recipe != "original":
        chosen |= ADAM  # the paper names Adam and no rate for it; 1e-3 is that of Pian et al.
    if run.dataset == "k-s-ci" and run.recipe == "original" and run.method == "lwf":
        chosen["epochs"] = 100
    return chosen


def resolve(run: ContinualRun) -> ContinualRun:
    """Fill in the defaults; refuse values out of range and options that would not be read.

    Raises:
        UserError: naming the option and its value.
    """
    chosen = defaults(run)
    if run.optimizer not in (None, chosen["optimizer"]):
        chosen |= {"optimizer": run.optimizer, "lr": {"sgd": 1e-2, "adam": 1e-3}[run.optimizer]}
    run = replace(run, **{name: value for name, value in chosen.items() if getattr(run, name) is None})
    for name, least in {"epochs": 1, "batch_size": 1, "exemplar_batch_size": 1, "features": 1, "memory": 1,
                        "time_steps": 1, "seed": 0, "weight_decay": 0, "instance": 0,
                        "category": 0}.items():  # fmt: skip
        if not least <= getattr(run, name) < math.inf:
            raise UserError(f"--{name.replace('_', '-')} {getattr(run, name)} must be {least} or more")
    if run.tasks is not None and run.tasks < 2:
        raise UserError(f"--tasks {run.tasks} must be 2 or more: one task leaves nothing to forget")
    for name in ("lr", "gamma"):
        if not 0 < getattr(run, name) < math.inf:
            raise UserError(f"--{name} {getattr(run, name)} must be a positive finite number")
    if (run.data_root is None) != (run.dataset == "av-digits-ci"):
        remedy = "is embedded; leave it out" if run.data_root else "needs it: the folder with its features"
        raise UserError(f"--data-root {run.data_root}: --dataset {run.dataset} {remedy}")
    if run.dataset == "av-digits-ci" and run.recipe == "original":
        raise UserError("--recipe original is an optimiser and epochs, and av-digits-ci has its own; leave it out")
    if run.recipe == "released" and run.gamma != 1:
        raise UserError(f"--gamma {run.gamma}: --recipe released ignores γ, as the released code does; leave it out")
    if run.recipe == "released" and run.network == "snn":
        raise UserError("--recipe released has no activations that could spike; leave out --networks snn or --recipe")
    if run.variant == "iemf" and run.window is not None and run.epochs <= run.window[0]:
        raise UserError(f"--epochs {run.epochs}: the released av-cil applies ξ from epoch {run.window[0]} on and would "
                        f"never; --epochs 100 as published, or another --recipe")  # fmt: skip
    return run


def shared_options(config: ContinualShared) -> dict:
    """The fields that runs take over from a comparison."""
    return {field.name: getattr(config, field.name) for field in fields(ContinualShared)}
