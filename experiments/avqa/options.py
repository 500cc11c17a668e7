"""The options of a question-answering run, and what they default to for each data set and recipe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from experiments.sweep import features, published
from experiments.sweep.balance import OF_METHODS, PLAIN, BalancedRun, balanced_labels
from experiments.sweep.features import check_features, with_optimizer
from experiments.sweep.options import (
    OF_IEMF,
    CommonOptions,
    ReadBy,
    Variant,
    check_common,
    check_least,
    filled,
)
from iemf.balance import METHODS
from iemf.errors import UserError

DatasetName = Literal["av-digits-qa", "music-avqa"]
ModelName = Literal["baseline", "st-avqa"]
SCHEDULE = ("schedule", "warmup", "patience")  # of the answers; stage 1 has its own
GROUNDING = "grounding"  # stage 1 of st-avqa, trained once a seed for all of its runs
Modality = Literal["audio", "visual"]

# Ours and small: the published widths are 512, the published epochs 20 to 80.
# Eight epochs with steps were too few: validation still rose in most runs' last epoch. A cosine comes to rest.
EMBEDDED = {"optimizer": "adam", "lr": 2e-3, "weight_decay": 0.0, "drop_every": 6, "epochs": 12, "match_epochs": 4,
            "batch_size": 128, "width": 64, "schedule": "cosine"}  # fmt: skip
PAPER = {"optimizer": "sgd", "lr": 1e-2, "momentum": 0.0, "weight_decay": 1e-4, "drop_every": None, "epochs": 50,
         "match_epochs": 30, "batch_size": 64, "width": 512}  # fmt: skip
RELEASED = PAPER | {"momentum": 0.9, "drop_every": 15}
# Li et al. 2022: Adam, the learning rate falls to a tenth every eight epochs; the defaults of their code.
ORIGINAL = PAPER | {"optimizer": "adam", "lr": 1e-4, "momentum": None, "weight_decay": 0.0, "drop_every": 8}
ORIGINAL_EPOCHS = {"baseline": 20, "st-avqa": 80}
RECIPES = {"paper": PAPER, "original": ORIGINAL, "released": RELEASED}
# Stage 1 is the same in the code of Li et al. and in that released with He et al., whatever stage 2 learns with.
PUBLISHED_MATCH = {"optimizer": "adam", "lr": 1e-4, "momentum": None, "weight_decay": 0.0, "drop_every": 8,
                   "batch_size": 64}  # fmt: skip
REVISION = 2  # of what a run computes: 2 has the published answer, padding, stage 1 and wrong pictures
RATES = {"sgd": 1e-2, "adam": 1e-4}
CACHE = Path("runs/av-digits-qa")


MODEL_LABELS = balanced_labels({"baseline": "baseline", "st-avqa": "ST-AVQA", GROUNDING: "grounding"})


@dataclass(frozen=True)
class TrainingConfig(CommonOptions):
    """What every run of a comparison shares."""

    dataset: DatasetName = "av-digits-qa"
    """av-digits-qa is embedded (extra "digits"): scenes of digits, seen and spoken. music-avqa needs --data-root."""
    data_root: Path | None = None
    """music-avqa: the folder with json/ and the features (docs/features.md)."""
    cache: Path | None = None
    """av-digits-qa: where its encoders and features are kept once they are made; runs/av-digits-qa by default."""
    recipe: Literal["paper", "original", "released"] = "paper"
    """paper: He et al. 2025. original: optimiser and epochs of Li et al. 2022. released: as the code released with
    He et al. 2025: momentum and a schedule, no tanh around the fusion layer, noise on its gradient after ξ.
    av-digits-qa has an optimiser and epochs of its own, so original is nothing to it."""
    match_epochs: int | None = None
    """st-avqa: of stage 1, which learns whether sound and picture belong together."""
    optimizer: Literal["sgd", "adam"] | None = None
    drop_every: int | None = None
    """step: epochs after which the learning rate falls to a tenth, again and again."""
    width: int | None = None
    """Of the question's encoding, the attended features and the fusion."""


@dataclass(frozen=True)
class RunConfig(TrainingConfig, BalancedRun):
    """One model on one data set with one seed."""

    task: ClassVar[str] = "avqa"
    model: ModelName | Literal["grounding"] = "baseline"
    variant: Variant = "vanilla"
    blind: tuple[Modality, ...] = ()
    """Modalities whose features are zeros: the blind baselines."""

    @property
    def cell(self) -> tuple[str, str, str, tuple[str, ...]]:
        """(network, model, variant, blind to)."""
        return self.network, self.balanced(self.model), self.variant, self.blind

    @property
    def parts(self) -> list[str]:
        """Of its folder's name."""
        return [*self.cell[:3], *(f"no-{kind}" for kind in self.blind)]

    def paper(self) -> str | None:
        """What Table S5 has for it: ANNs on MUSIC-AVQA, without balancing."""
        if self.network != "ann" or self.dataset != "music-avqa" or self.blind or self.balance is not None:
            return None
        if self.model == GROUNDING:
            return None
        return published.avqa_sentence(self.model, self.variant)

    def stored(self) -> dict:
        """With the revision: runs of an earlier one computed something else."""
        return super().stored() | {"revision": REVISION}

    @property
    def grounding(self) -> "RunConfig":
        """Stage 1 of a run: one for all networks, variants and options of IEMF."""
        return replace(self, model=GROUNDING, network="ann", variant="vanilla", blind=(), balance=None,
                       epochs=self.match_epochs, match_epochs=None,
                       **dict.fromkeys((*OF_IEMF, *SCHEDULE, *OF_METHODS, "time_steps")),
                       **(PUBLISHED_MATCH if self.dataset == "music-avqa" else {}),
                       out=self.out.parent / f"{GROUNDING}-seed{self.seed}")  # fmt: skip


RULES = (
    *features.RULES,
    ReadBy(("drop_every",), lambda run: run.schedule in (None, "step"), "`schedule` step"),
    ReadBy(("match_epochs",), lambda run: run.model == "st-avqa", "`model` st-avqa"),
    ReadBy(("cache",), lambda run: run.dataset == "av-digits-qa", "`dataset` av-digits-qa"),
)


def defaults_of(run: RunConfig) -> dict[str, Any]:
    """What options left open are set to."""
    chosen = dict(EMBEDDED if run.dataset == "av-digits-qa" else RECIPES[run.recipe])
    if run.model == GROUNDING:
        chosen.pop("schedule", None)
    if run.dataset != "av-digits-qa" and run.recipe == "original":
        chosen["epochs"] = ORIGINAL_EPOCHS.get(run.model, chosen["epochs"])
    chosen = with_optimizer(run, chosen, RATES) | {"cache": CACHE}
    return chosen | ({"scale": "gradient"} if run.recipe == "released" else {})


def resolve(run: RunConfig) -> RunConfig:
    """Fill in the defaults, leave out what is not read; refuse values out of range.

    Raises:
        UserError: naming the option and its value.
    """
    run = filled(run, defaults_of(run), RULES)
    check_common(run)
    check_least(run, {"epochs": 1, "match_epochs": 1, "batch_size": 2, "width": 4, "drop_every": 1, "momentum": 0,
                      "weight_decay": 0})  # fmt: skip
    method = METHODS[run.balance or PLAIN]
    if method.needs_split or method.needs_fuse:
        wants = "whose logits split by modality" if method.needs_split else "that reads the modalities' features alone"
        raise UserError(f"`balance` {run.balance} needs a fusion {wants}, and that of question answering does not: "
                        f"behind the fusion layer come the question and another layer; leave it out")  # fmt: skip
    if run.schedule == "step" and run.drop_every is None:
        raise UserError("`schedule` step needs `drop_every`: this recipe has none")
    if run.width % 4:
        raise UserError(f"`width` {run.width} must be a multiple of 4, the number of attention heads")
    check_features(run, "av-digits-qa", "the folder with json/ and features")
    if run.recipe == "released" and run.scale == "step":
        raise UserError("`recipe` released has ξ on the gradient; leave out `scale` or use `recipe` paper")
    return run
