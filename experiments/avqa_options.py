"""The options of a question-answering run, and what they default to for each data set and recipe."""

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import tyro

from experiments import published
from experiments.options import Network, Variant, plain
from iemf.errors import UserError

ModelName = Literal["baseline", "st-avqa"]
GROUNDING = "grounding"  # stage 1 of st-avqa, trained once a seed for all of its runs
Modality = Literal["audio", "visual"]

# Ours and small: the published widths are 512, the published epochs 30 and 50.
EMBEDDED = {"optimizer": "adam", "lr": 2e-3, "drop_every": 6, "epochs": 8, "match_epochs": 2, "batch_size": 128,
            "width": 64}  # fmt: skip
PAPER = {"optimizer": "sgd", "lr": 1e-2, "drop_every": None, "epochs": 50, "match_epochs": 30, "batch_size": 64,
         "width": 512}  # fmt: skip
# Li et al. 2022: Adam, the learning rate falls to a tenth every eight epochs.
ORIGINAL = PAPER | {"optimizer": "adam", "lr": 1e-4, "drop_every": 8, "epochs": 30}
RECIPES = {"paper": PAPER, "original": ORIGINAL, "released": PAPER}
RATES = {"sgd": 1e-2, "adam": 1e-4}


@dataclass(frozen=True)
class AVQAShared:
    """What every run of a comparison shares. None stands for the default of the data set and the recipe."""

    dataset: Literal["av-digits-qa", "music-avqa"] = "av-digits-qa"
    """av-digits-qa is embedded (extra "digits"): scenes of digits, seen and spoken. music-avqa needs --data-root."""
    data_root: Path | None = None
    """music-avqa: the folder with json/ and the features (docs/features.md)."""
    cache: Path = Path("runs/av-digits-qa")
    """av-digits-qa: where its encoders and features are kept once they are made."""
    recipe: Literal["paper", "original", "released"] = "paper"
    """paper: He et al. 2025. original: optimiser and epochs of Li et al. 2022. released: as the code released with
    He et al. 2025, with noise on the fusion's gradient after ξ. av-digits-qa has an optimiser and epochs of its own, so
    original is nothing to it."""
    epochs: int | None = None
    match_epochs: int | None = None
    """st-avqa: of stage 1, which learns whether sound and picture belong together."""
    batch_size: int | None = None
    """Questions in a step."""
    optimizer: Literal["sgd", "adam"] | None = None
    lr: float | None = None
    drop_every: int | None = None
    """Epochs after which the learning rate falls to a tenth, again and again."""
    width: int | None = None
    """Of the question's encoding, the attended features and the fusion."""
    gamma: float = 1.0
    """iemf: γ of Eq. 10."""
    time_steps: int = 4
    """snn: T."""


@dataclass(frozen=True)
class AVQARun(AVQAShared):
    """One model on one data set with one seed."""

    network: Network = "ann"
    model: ModelName | Literal["grounding"] = "baseline"
    variant: Variant = "vanilla"
    blind: tuple[Modality, ...] = ()
    """Modalities whose features are zeros: the blind baselines."""
    seed: int = 0
    out: Path = Path("runs/avqa/run")
    progress: bool = True
    data_digest: tyro.conf.Suppress[str | None] = None

    def stored(self) -> dict:
        """As plain JSON values, for config.json; what the paper has for it comes first."""
        # Wherever its data lie, the digest knows them.
        content = {name: plain(value) for name, value in asdict(self).items() if name not in ("cache", "data_root")}
        is_paper = self.network == "ann" and self.dataset == "music-avqa" and not self.blind
        said = published.avqa_sentence(self.model, self.variant) if is_paper and self.model != GROUNDING else None
        return {"paper": said} | content if said else content

    @property
    def grounding(self) -> "AVQARun":
        """Stage 1 of a run: one for all networks, variants and γ."""
        return replace(self, model=GROUNDING, network="ann", variant="vanilla", gamma=1.0, time_steps=4, blind=(),
                       epochs=self.match_epochs, out=self.out.parent / f"{GROUNDING}-seed{self.seed}")  # fmt: skip


def resolve(run: AVQARun) -> AVQARun:
    """Fill in the defaults; refuse values out of range and options that would not be read.

    Raises:
        UserError: naming the option and its value.
    """
    chosen = dict(EMBEDDED if run.dataset == "av-digits-qa" else RECIPES[run.recipe])
    if run.optimizer not in (None, chosen["optimizer"]):
        chosen |= {"optimizer": run.optimizer, "lr": RATES[run.optimizer]}
    run = replace(run, **{name: value for name, value in chosen.items() if getattr(run, name) is None})
    for name, least in {"epochs": 1, "match_epochs": 1, "batch_size": 2, "width": 4, "time_steps": 1, "seed": 0,
                        "drop_every": 1}.items():  # fmt: skip
        value = getattr(run, name)
        if value is not None and not value >= least:
            raise UserError(f"--{name.replace('_', '-')} {value} must be {least} or more")
    if run.width % 4:
        raise UserError(f"--width {run.width} must be a multiple of 4, the number of attention heads")
    for name in ("lr", "gamma"):
        if not 0 < getattr(run, name) < math.inf:
            raise UserError(f"--{name} {getattr(run, name)} must be a positive finite number")
    if (run.data_root is None) != (run.dataset == "av-digits-qa"):
        remedy = "is embedded; leave it out" if run.data_root else "needs it: the folder with json/ and features"
        raise UserError(f"--data-root {run.data_root}: --dataset {run.dataset} {remedy}")
    if run.dataset == "av-digits-qa" and run.recipe == "original":
        raise UserError("--recipe original is an optimiser and epochs, and av-digits-qa has its own; leave it out")
    if run.recipe == "released" and run.gamma != 1:
        raise UserError(f"--gamma {run.gamma}: --recipe released ignores γ, as the released code does; leave it out")
    return run


def shared_options(config: AVQAShared) -> dict:
    """The fields that runs take over from a comparison."""
    return {field.name: getattr(config, field.name) for field in fields(AVQAShared)}
