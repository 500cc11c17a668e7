"""The options of a classification run, and what they default to for each recipe and data set."""

import math
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
import tyro

from experiments.classification import own_data, start
from experiments.sweep import published
from experiments.sweep.balance import of_methods
from experiments.sweep.options import (
    DEFAULTS,
    PLATEAU,
    CommonOptions,
    Flag,
    ReadBy,
    RunBase,
    check_common,
    check_least,
    filled,
    of_iemf,
    of_snn,
    refuse_unread,
    shown,
)  # fmt: skip
from iemf.balance import METHODS
from iemf.data.sets.av_digits import NOISE as DIGITS_NOISE
from iemf.data.sets.digest import digest_of
from iemf.errors import UserError
from iemf.fusion import OF_TWO
from iemf.resnet import Stem
from iemf.training.schedule import CONSTANT
from iemf_snn import kernels

DatasetName = Literal["av-digits", "av-digits-scan", "crema-d", "kinetics-sounds", "urbansound8k-av", "folder"]
MethodName = Literal[tuple(METHODS)]
Modality = Literal["audio", "visual", "scan"]
FURTHER: dict[str, tuple[Modality, ...]] = {"av-digits-scan": ("scan",)}  # beside audio and visual
EMBEDDED = ("av-digits", "av-digits-scan")
ALONE = "alone"  # the variant of runs of one modality
PAPER_METHODS = ("concat", "mslr", "ogm-ge", "lfm")

# He et al. 2025, Table S1. The released scripts add (Nesterov) momentum, divide the learning rate by ten at epoch 70,
# and decay weights more, of two or more dimensions alone.
PAPER = {"optimizer": "sgd", "lr": 5e-3, "momentum": 0.0, "weight_decay": 1e-4, "lr_drop": None,
         "batch_size": 32, "epochs": 100, "width": 64}  # fmt: skip
RELEASED = PAPER | {"momentum": 0.9, "lr_drop": 70, "weight_decay": 5e-4}
RELEASED_LFM = {"batch_size": 16}  # and lr 2e-3 on CREMA-D
RECIPES = {"paper": PAPER, "released": RELEASED}
FILES = {"image_size": 224, "frames": 1, "seconds": 3.0, "spectrogram": "log-stft", "split_seed": 0}
# Ours and small: narrower, shorter and faster in either recipe, so that a grid fits an hour on two cores.
DIGITS = {"width": 16, "epochs": 12, "lr": 5e-2, "momentum": 0.9, "schedule": "cosine", "warmup": 100,
          "stem": "7x7", "snr_audio": DIGITS_NOISE.audio, "snr_visual": DIGITS_NOISE.visual, "workers": 0}  # fmt: skip
DATASETS = {
    "av-digits": DIGITS,
    "av-digits-scan": DIGITS | {"epochs": 20},  # of 900 samples: as many steps as 12 of 1500
    "crema-d": FILES,
    "kinetics-sounds": FILES | {"frames": 3},
    "urbansound8k-av": FILES | {"image_size": 128, "spectrogram_size": 128, "seconds": 4.0},
    "folder": FILES,
}  # fmt: skip
RELEASED_MODULATE_FROM = {"crema-d": 60}  # the released scripts' epoch window; the other data sets have none
SNRS = ("snr_audio", "snr_visual", "test_snr_audio", "test_snr_visual")
SHORTEST_SOUND = 0.05  # seconds; a spectrogram needs more than one window of 23 ms
LONGEST_SOUND = 3600  # seconds, as prepare keeps at most
DROP = 0.75  # of the epochs, after which the learning rate falls to a tenth where no recipe says when
SMALL = 64  # pixels; of smaller images the published stem leaves the last stage one pixel
LOUDEST = 100  # dB; beyond, float32 holds the noise alone
ADAPTIVE = ("adam", "adamw")
ADAPTIVE_LR = 1e-3


def modalities_of(dataset: str) -> tuple[Modality, ...]:
    """In the order of a batch."""
    return "audio", "visual", *FURTHER.get(dataset, ())


@dataclass(frozen=True)
class TrainingConfig(CommonOptions):
    """What every run of a comparison shares."""

    dataset: DatasetName = "av-digits"
    """av-digits is embedded (extra "digits"), and so is av-digits-scan, which has a third modality; folder is a tree of
    your own; the others are prepared first."""
    data_root: Path | None = None
    """data of files: what experiments.prepare made; folder: that, or the tree itself."""
    recipe: Literal["paper", "released"] = "paper"
    """released does as the code released with the paper does, where it departs from the paper. folder: paper stands for
    rates and epochs that suit small data."""
    optimizer: Literal["sgd", "adam", "adamw"] | None = None
    lr_drop: int | None = None
    """step: divide the learning rate by ten from this epoch on; -1: never."""
    width: int | None = None
    """Channels of the ResNet's first stage; 64 as published."""
    stem: Stem | None = None
    """The first convolution: 7x7-pool as published; 7x7 leaves out the pool behind it, the default for images below 64
    pixels, av-digits among them; 3x3 keeps the image's size, as ResNets for CIFAR do."""
    fusion: Literal["concat", "sum", "film", "gated"] | None = None
    """concat by default, Eq. 5."""
    lif_backend: Literal["numba", "cupy", "torch", "spikingjelly", "auto"] | None = None
    """snn: what computes the neuron; auto by default: numba (CPU) or cupy (CUDA), torch where neither can."""
    neuron: Literal["lif", "plif"] | None = None
    """snn: plif learns τ_m in each layer (Fang et al. 2021), several times as slow; lif by default."""
    norm_gain: float | None = None
    """snn: gain of every norm at the beginning; by default the threshold, 1 where pooled spikes are normalised;
    released: 1."""
    sync_norm: Flag = False
    """With several processes (docs/scaling.md): batch norm over the samples of all of them, not of each alone."""
    snr_audio: tuple[float, ...] | None = None
    """Noise in the sound: a signal-to-noise ratio in dB, or LOW HIGH to draw from; none by default, av-digits -15 0."""
    snr_visual: tuple[float, ...] | None = None
    """Noise in the images, likewise."""
    test_snr_audio: tuple[float, ...] | None = None
    """Noise in the sound of the test split, if it is to differ from --snr-audio; inf: none."""
    test_snr_visual: tuple[float, ...] | None = None
    """Noise in the images of the test split, likewise."""
    image_size: int | None = None
    """data of files: side of the images in pixels; 224 by default, urbansound8k-av 128."""
    spectrogram: Literal["log-stft", "log-mel"] | None = None
    """data of files: log-stft by default, which the published numbers were made with; the paper's text: log-mel."""
    spectrogram_size: int | None = None
    """data of files: resize spectrograms to this side; by default as they come, urbansound8k-av 128."""
    split_seed: int | None = None
    """data of files: draws the validation split where there is none; 0 by default, whatever the run's seed."""
    frames: int | None = None
    """data of files: frames of a clip; 1 by default, kinetics-sounds 3."""
    seconds: float | None = None
    """data of files: length of the sound; 3 by default, urbansound8k-av 4."""
    workers: int | None = None
    """data of files: processes that read files; by default one less than there are cores."""


@dataclass(frozen=True)
class RunConfig(TrainingConfig, RunBase):
    """Train one audio-visual classifier; the best epoch is chosen on validation, test is read once."""

    task: ClassVar[str] = "classification"
    method: Annotated[MethodName | None, tyro.conf.arg(aliases=["--balance"])] = None
    """concat by default: nothing more than the task's own loss."""
    iemf: bool = False
    """Joint learning (L_av + L_a + L_v) with the fusion layer's update scaled by ξ."""
    joint: bool = False
    """The control: joint learning alone, ξ = 1."""
    modality: Modality | None = None
    """One modality alone: an encoder and its head, which begin as those of the multimodal network of this seed do."""
    start: Path | None = None
    """modality: the folder of a finished run; begin with the encoder and the head of its best epoch instead."""
    start_digest: tyro.conf.Suppress[str | None] = None
    """Filled in: which weights these are."""
    out: Path = Path("runs/classification")
    """The run's folder."""
    resume: bool = False
    """Go on with the run in --out; start it if there is none."""
    tuned: tyro.conf.Suppress[str | None] = None
    """Filled in: of how many trials the learning rate is the best, and where they lay."""

    @property
    def variant(self) -> str:
        """vanilla, joint or iemf; of one modality alone."""
        if self.modality is not None:
            return ALONE
        return "iemf" if self.iemf else "joint" if self.joint else "vanilla"

    @property
    def cell(self) -> tuple[str, str, str]:
        """(network, method or modality, variant)."""
        return self.network, self.modality or self.method, self.variant

    def paper(self) -> str | None:
        """What Tables S2 and S3 have for it: of one modality alone nothing."""
        return None if self.modality else published.sentence(self.dataset, self.cell)

    def stored(self) -> dict:
        """As of every run; ``sync_norm`` where it is on alone, so that runs of before it was there are the same."""
        return {name: value for name, value in super().stored().items() if name != "sync_norm" or value}

    @classmethod
    def from_stored(cls, stored: dict) -> "RunConfig":
        """What :meth:`stored` gave, as a config again; unknown fields are refused."""
        stored = {name: value for name, value in stored.items() if name not in ("paper", "task")}
        known = {field.name for field in fields(cls)}
        if unknown := sorted(stored.keys() - known):
            raise UserError(f"the stored config has unknown field(s) {unknown}; it was made by another version")
        paths = {name: Path(stored[name]) for name in ("out", "data_root", "start") if stored.get(name) is not None}
        snrs = {name: tuple(map(float, stored[name])) for name in SNRS if stored.get(name) is not None}
        return cls(**(stored | paths | snrs))


def fused(run: RunConfig) -> bool:
    """Whether a run has neurons that our backends compute."""
    return run.network == "snn" and run.neuron != "plif"


RULES = (
    PLATEAU,
    of_snn("time_steps", "neuron", "norm_gain"),
    ReadBy(("lif_backend",), fused, "`network` snn with `neuron` lif"),
    ReadBy(("lr_drop",), lambda run: run.schedule in (None, "step"), "`schedule` step"),
    *of_iemf(),
    ReadBy(("data_root", "image_size", "spectrogram", "spectrogram_size", "split_seed", "frames", "seconds"),
           lambda run: run.dataset not in EMBEDDED, "data sets that are not embedded"),
    ReadBy(("momentum",), lambda run: run.optimizer in (None, "sgd"), "`optimizer` sgd"),
    *of_methods("method"),
    ReadBy(("method", "fusion", "iemf", "joint"), lambda run: run.modality is None, "runs without `modality`"),
    ReadBy(("start",), lambda run: run.modality is not None, "`modality`"),
)  # fmt: skip


def defaults_of(config: RunConfig) -> dict[str, Any]:
    """What options left open are set to."""
    defaults = {**RECIPES[config.recipe], **DATASETS[config.dataset]}
    if config.dataset == "folder" and config.recipe == "paper":
        batch_size = config.batch_size or defaults["batch_size"]
        defaults |= own_data.defaults_for(config.data_root, config.data_digest, batch_size, config.epochs)
    if config.recipe == "released" and config.method == "lfm":
        defaults |= RELEASED_LFM | ({"lr": 2e-3} if config.dataset == "crema-d" else {})
    optimizer = config.optimizer or defaults["optimizer"]
    if optimizer in ADAPTIVE:
        defaults |= {"momentum": None, "lr": ADAPTIVE_LR}
    if config.schedule == "step" and defaults["lr_drop"] is None:
        defaults["lr_drop"] = round(DROP * (config.epochs or defaults["epochs"]))
    if config.lr_drop is not None:
        defaults["schedule"] = "step"
    if config.schedule == "plateau":
        defaults["patience"] = CONSTANT.patience
    defaults.setdefault("schedule", "constant" if defaults["lr_drop"] is None else "step")
    if config.dataset not in EMBEDDED:
        small = (config.image_size or defaults["image_size"]) < SMALL
        defaults |= {"stem": "7x7" if small else "7x7-pool"}
    scale = "step" if optimizer in ADAPTIVE and config.recipe == "paper" else "gradient"
    window = RELEASED_MODULATE_FROM.get(config.dataset, 0) if config.recipe == "released" else 0
    defaults |= DEFAULTS | {"method": "concat", "fusion": "concat", "scale": scale, "modulate_from": window,
                            "lif_backend": "auto", "norm_gain": 1.0 if config.recipe == "released" else None,
                            }  # fmt: skip
    if optimizer in ADAPTIVE:  # not stored where it is the gradient, as it always was
        defaults["balance_scale"] = scale
    defaults.setdefault("workers", max(0, (os.cpu_count() or 1) - 1))
    return defaults


def resolve(config: RunConfig) -> RunConfig:
    """Fill in the defaults; refuse options that nothing would read, and values out of range.

    Raises:
        UserError: naming the option, its value and what to do.
    """
    refuse(config)
    if config.data_root is not None:
        root = config.data_root.expanduser().absolute()
        config = replace(config, data_root=root, data_digest=config.data_digest or digest_of(root))
    config = filled(config, defaults_of(config), RULES)
    if config.neuron == "lif":  # not stored, as it always was
        config = replace(config, neuron=None)
    ratios = {name: getattr(config, name) for name in SNRS}
    config = replace(config, **{name: snr * 2 for name, snr in ratios.items() if snr is not None and len(snr) == 1})
    check_ranges(config)
    if config.start is not None and config.start_digest is None:
        config = replace(config, start=config.start.expanduser().absolute())
        config = replace(config, start_digest=start.digest_of(config.start))
        start.refuse_unlike(config)
    return config


def refuse(config: RunConfig) -> None:
    """Raise UserError for options that contradict each other, or that nothing would read."""
    if config.iemf and config.joint:
        raise UserError("`iemf` and `joint` name two variants, and a run is one; IEMF has the losses of joint learning")
    refuse_unread(config, RULES)
    embedded = config.dataset in EMBEDDED
    if config.modality is not None and config.modality not in (there := modalities_of(config.dataset)):
        raise UserError(f"`modality` {config.modality} is none of {config.dataset}, which has {', '.join(there)}")
    if config.fusion in OF_TWO and len(modalities_of(config.dataset)) > 2:
        raise UserError(f"`fusion` {config.fusion} is of two modalities, and {config.dataset} has more; choose concat "
                        f"or sum")  # fmt: skip
    if embedded and config.workers:
        raise UserError(
            f"`workers` {config.workers} is of no use to {config.dataset}, which is in memory; leave it out"
        )
    if config.dataset == "folder" and config.data_root is None:
        raise UserError("`dataset` folder needs `data_root`, a folder that holds train/<class>/ and test/<class>/")
    if not embedded and config.data_root is None:
        raise UserError(f"`dataset` {config.dataset} needs `data_root`, the folder that "
                        f"python -m experiments.prepare {config.dataset} made")  # fmt: skip
    if config.recipe == "released" and (config.gamma not in (None, 1.0) or config.scale == "step"):
        raise UserError("`recipe` released ignores γ and scales the gradient, as the released code does; "
                        "leave out `gamma` and `scale` or use `recipe` paper")  # fmt: skip


def check_ranges(config: RunConfig) -> None:
    """Raise UserError for a number that training cannot use."""
    if config.batch_size == 1:
        raise UserError("`batch_size` 1: a batch of one has no batch statistics; use 2 or more")
    check_common(config)
    check_least(config, {"epochs": 1, "batch_size": 2, "width": 1, "workers": 0, "frames": 1, "image_size": 32,
                         "spectrogram_size": 32, "split_seed": 0, "weight_decay": 0, "momentum": 0, "norm_gain": 1e-3,
                         "seconds": SHORTEST_SOUND})  # fmt: skip
    if config.seconds is not None and config.seconds > LONGEST_SOUND:
        raise UserError(f"`seconds` {shown(config.seconds)} must be {LONGEST_SOUND} or less")
    for name in SNRS:
        if (snr := getattr(config, name)) is not None:
            check_snr(f"`{name}` {shown(snr)}", snr)
    if config.momentum is not None and not config.momentum < 1:
        raise UserError(f"`momentum` {config.momentum} must be below 1")
    if config.lif_backend is not None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            kernels.choose(config.lif_backend, device, torch.float32)
        except RuntimeError as error:
            raise UserError(f"`lif_backend` {config.lif_backend}: {error}; `lif_backend` auto takes what can") from None


def check_snr(option: str, snr: tuple[float, ...]) -> None:
    """Raise UserError unless ``snr`` is (low, high), both finite and in this order, or both infinite (no noise)."""
    clean = all(ratio == math.inf for ratio in snr)
    if len(snr) != 2 or not (clean or all(abs(ratio) <= LOUDEST for ratio in snr)):
        raise UserError(f"{option} must be one or two numbers of dB within ± {LOUDEST}, or inf for no noise")
    if snr[0] > snr[1]:
        raise UserError(f"{option} must run from low to high")
