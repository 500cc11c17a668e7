"""The options of a class-incremental run, and what they default to for each benchmark and recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from experiments.sweep import features, published
from experiments.sweep.balance import BalancedRun
from experiments.sweep.build import window_of
from experiments.sweep.features import check_features, with_optimizer
from experiments.sweep.options import (
    CommonOptions,
    ReadBy,
    Variant,
    check_common,
    check_least,
    filled,
    shown,
)
from iemf.continual.methods import METHODS
from iemf.errors import UserError
from iemf.training import Window
from iemf.training.step import EVERY_EPOCH

MethodName = Literal[tuple(METHODS)]
DatasetName = Literal["av-digits-ci", "ave-ci", "k-s-ci", "vs100-ci"]

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
# Epochs of a task in which the released AV-CIL has ξ and the heads' losses; behind them the classifier's rate stays.
RELEASED_WINDOW = Window(20, 70, hold=True)
RELEASED_CLIP = 10.0  # of LwF and SS-IL, before ξ
RATES = {"sgd": 1e-2, "adam": 1e-3}


@dataclass(frozen=True)
class TrainingConfig(CommonOptions):
    """What every run of a comparison shares."""

    dataset: DatasetName = "av-digits-ci"
    """av-digits-ci is embedded (extra "digits"): five tasks of two digits. The others need --data-root."""
    data_root: Path | None = None
    """Features: of experiments.extract, or the public AV-CIL release (docs/features.md)."""
    recipe: Literal["paper", "original", "released"] = "paper"
    """paper: He et al. 2025. original: the optimiser and epochs of Pian et al. 2023. released: as the code released
    with He et al. 2025: no attention distillation and no activations; av-cil has ξ and the heads' losses in epochs 20
    to 70 alone, lwf and ssil momentum and a clipped gradient. av-digits-ci has an optimiser and epochs of its own, so
    original is nothing to it."""
    tasks: int | None = None
    """How many tasks of equal size."""
    exemplar_batch_size: int | None = None
    """ssil, av-cil: exemplars in a step."""
    optimizer: Literal["sgd", "adam"] | None = None
    features: int | None = None
    """F, what the classifier sees."""
    memory: int | None = None
    """ssil, av-cil: exemplars in all."""
    instance: float | None = None
    """av-cil: λ_I."""
    category: float | None = None
    """av-cil: λ_C."""


@dataclass(frozen=True)
class RunConfig(TrainingConfig, BalancedRun):
    """One method on one benchmark with one seed."""

    task: ClassVar[str] = "continual"
    method: MethodName = "av-cil"
    variant: Variant = "vanilla"

    @property
    def cell(self) -> tuple[str, str, str]:
        """(network, method, variant)."""
        return self.network, self.balanced(self.method), self.variant

    def paper(self) -> str | None:
        """What Table S4 has for it; it has ANNs alone, and no balancing."""
        if self.network != "ann" or self.balance is not None:
            return None
        return published.continual_sentence(self.dataset, self.method, self.variant)

    @property
    def window(self) -> Window:
        """Epochs of a task in which ξ is applied."""
        if self.recipe == "released" and self.method == "av-cil":
            return RELEASED_WINDOW
        return window_of(self)

    @property
    def head_window(self) -> Window:
        """Epochs of a task in which the heads have a loss; those of vanilla runs, which are probes, always have."""
        return self.window if self.recipe == "released" and self.variant != "vanilla" else EVERY_EPOCH


RULES = (
    *features.RULES,
    ReadBy(("memory", "exemplar_batch_size"), lambda run: METHODS[run.method].uses_memory, "`method` ssil and av-cil"),
    ReadBy(("instance", "category"), lambda run: run.method == "av-cil", "`method` av-cil"),
)


def defaults_of(run: RunConfig) -> dict[str, Any]:
    """What options left open are set to."""
    if run.dataset == "av-digits-ci":
        chosen = dict(EMBEDDED)
    else:
        chosen = PUBLISHED | RECIPES[run.recipe] | BENCHMARKS[run.dataset]
        if run.dataset == "vs100-ci" and run.recipe != "original":
            chosen |= ADAM  # the paper names Adam and no rate for it; 1e-3 is that of Pian et al.
        if run.dataset == "k-s-ci" and run.recipe == "original" and run.method in ("lwf", "ssil"):
            chosen["epochs"] = 100
        if run.recipe == "released":
            chosen |= released_of(run)
    chosen = with_optimizer(run, chosen, RATES)
    return chosen | ({"scale": "step"} if run.recipe == "released" and run.method == "av-cil" else {})


def released_of(run: RunConfig) -> dict[str, Any]:
    """Where the released code departs from the paper, on a public benchmark."""
    if run.method == "av-cil":
        return (ADAM if run.dataset != "vs100-ci" else {}) | {"instance": 0.1}
    if run.method in ("lwf", "ssil"):
        return {"clip_norm": RELEASED_CLIP} | ({"momentum": 0.9} if run.dataset != "vs100-ci" else {})
    return {}


def resolve(run: RunConfig) -> RunConfig:
    """Fill in the defaults, leave out what is not read; refuse values out of range.

    Raises:
        UserError: naming the option and its value.
    """
    run = filled(run, defaults_of(run), RULES)
    check_common(run)
    check_least(run, {"epochs": 1, "batch_size": 1, "exemplar_batch_size": 1, "features": 1, "memory": 1,
                      "weight_decay": 0, "momentum": 0, "instance": 0, "category": 0})  # fmt: skip
    if run.schedule == "step":
        raise UserError("`schedule` step: class-incremental learning has no epoch for it; choose cosine or "
                        "plateau")  # fmt: skip
    if run.tasks is not None and run.tasks < 2:
        raise UserError(f"`tasks` {run.tasks} must be 2 or more: one task leaves nothing to forget")
    check_features(run, "av-digits-ci", "the folder with its features")
    if run.recipe == "released":
        check_released(run)
    return run


def check_released(run: RunConfig) -> None:
    """Raise UserError for what the released code cannot do."""
    scale = defaults_of(run)["scale"]
    if run.variant == "iemf" and (run.scale != scale or run.modulate_from or run.modulate_to is not None):
        raise UserError(f"`recipe` released has ξ on the {scale} of {run.method}, in epochs of its own; leave out "
                        f"`scale`, `modulate_from` and `modulate_to`")  # fmt: skip
    if run.variant == "iemf" and run.epochs <= run.window.first:
        raise UserError(f"`epochs` {shown(run.epochs)}: the released av-cil applies ξ from epoch {run.window.first} on "
                        f"and would never; `epochs` 100 as published, or another `recipe`")  # fmt: skip
