"""The options that every task's runs and sweeps have, and the one way to say who reads which."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
import tyro

from experiments.sweep.executor import ExecutorOptions, check_executor
from iemf.errors import UserError
from iemf.training.schedule import Kind, Schedule

Network = Literal["ann", "snn"]
Variant = Literal["vanilla", "joint", "iemf"]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
VARIANTS: tuple[Variant, ...] = ("vanilla", "joint", "iemf")
OF_IEMF = ("gamma", "gate", "scale", "modulate_from", "modulate_to", "xi")
DEFAULTS = {"gamma": 1.0, "gate": "tanh", "modulate_from": 0, "method_epochs": 100, "time_steps": 4}  # of every task


@dataclass(frozen=True)
class CommonOptions:
    """What every run of every task can be told. None stands for the default of the data set and the recipe."""

    epochs: int | None = None
    """In class-incremental learning, of each task."""
    batch_size: int | None = None
    """Samples in a step; in class-incremental learning exemplars come on top."""
    lr: float | None = None
    momentum: float | None = None
    """sgd: momentum."""
    weight_decay: float | None = None
    gamma: float | None = None
    """IEMF: γ of Eq. 10; 1 by default."""
    gate: Literal["tanh", "softsign", "erf", "arctan"] | None = None
    """IEMF: κ of Eq. 10; tanh by default."""
    scale: Literal["gradient", "step"] | None = None
    """IEMF: what ξ multiplies; by default the gradient for sgd, the step for adam and adamw."""
    modulate_from: int | None = None
    """IEMF: the first epoch with ξ; 0 by default."""
    modulate_to: int | None = None
    """IEMF: the last epoch with ξ; that of the run by default."""
    xi: float | Literal["shuffled"] | None = None
    """IEMF: a control in place of Eq. 10. A number: ξ is that, whatever the batch. shuffled: ξ of an earlier batch,
    drawn at random."""
    balance_scale: Literal["gradient", "step"] | None = None
    """mslr, ogm-ge, mmpareto, agm: what their factors multiply; by default the gradient for sgd, the step for adam and
    adamw."""
    method_epochs: int | None = None
    """mslr, ogm-ge, lfm, pmr, g-blending: the length of run, in epochs, that their schedules in epochs are meant for;
    they are stretched over --epochs. 100 by default, that of He et al. 2025."""
    method_constant: float | None = None
    """The balancing method's own constant, docs/balancing.md says which; by default as published."""
    schedule: Kind | None = None
    """Of the learning rate. cosine: down to 0 at the end; plateau: a tenth whenever --patience epochs have brought no
    better validation, and after the third time the end, so that --epochs is an upper limit; step: a tenth at some
    epochs; constant."""
    warmup: int | None = None
    """Steps in which the learning rate rises to its value."""
    patience: int | None = None
    """plateau: epochs; 5 by default."""
    time_steps: int | None = None
    """snn: T; 4 by default."""
    clip_norm: float | None = None
    """Clip the gradient to this norm, after ξ; none by default."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"


@dataclass(frozen=True)
class GridOptions(ExecutorOptions):
    """Which seeds, how many runs at a time, and what to do with them."""

    seeds: tuple[int, ...] = (0, 1, 2)
    jobs: int | None = None
    """Runs at a time; by default one on a GPU; without, one a core, of large runs four at most."""
    collect: bool = False
    """Only tabulate the runs that are finished; train nothing."""
    dry_run: bool = False
    """Only print what would be trained, and how long it would take on this machine."""
    progress: bool = True


@dataclass(frozen=True)
class SweepOptions(GridOptions):
    """Which variants too."""

    variants: tuple[Variant, ...] = VARIANTS
    """vanilla: the task's own loss; joint: the heads' losses too, ξ = 1; iemf: these, and ξ on the fusion layer."""
    iemf: Flag = False
    """That variant alone; with --joint: both."""
    joint: Flag = False
    """Likewise."""
    no_iemf: Flag = False
    """All variants but this."""
    no_joint: Flag = False
    """Likewise."""


@dataclass(frozen=True)
class RunBase:
    """What a sweep asks of a run's config, which has a ``variant``, a field or a property, besides."""

    task: ClassVar[str]
    network: Network = "ann"
    seed: int = 0
    out: Path = Path("runs/run")
    """The run's folder."""
    resume: bool = True
    """Go on with the run in --out; start it if there is none."""
    progress: bool = True
    data_digest: tyro.conf.Suppress[str | None] = None
    """Filled in: which state of the data the run was made with; resumed, it must be the same."""

    @property
    def cell(self) -> tuple:
        """(network, method, variant, ...): runs of one cell differ in their seed alone."""
        raise TypeError(f"{type(self).__name__} does not say which cell it belongs to")

    @property
    def parts(self) -> Sequence[str]:
        """Of its folder's name."""
        return self.cell

    def paper(self) -> str | None:
        """What the paper has for this run, in words."""
        return None

    def stored(self) -> dict:
        """As plain JSON values, for config.json: the options that are set; what the paper has comes first."""
        content = {name: plain(value) for name, value in asdict(self).items() if value is not None}
        said = self.paper()
        return ({"paper": said} if said else {}) | {"task": self.task} | content


Run = TypeVar("Run", bound=RunBase)


class ReadBy(NamedTuple):
    """Options, what a run must be to read them, and that in words."""

    names: tuple[str, ...]
    reads: Callable[[Any], bool]
    who: str


def of_iemf() -> tuple[ReadBy, ...]:
    """The options of IEMF."""
    return (
        ReadBy(OF_IEMF, lambda run: run.variant == "iemf", "`iemf`"),
        ReadBy(("gamma", "gate"), lambda run: run.xi in (None, "shuffled"), "a ξ that is measured, no number as `xi`,"),
    )


def of_snn(*names: str) -> ReadBy:
    """Options of spiking networks."""
    return ReadBy(names, lambda run: run.network == "snn", "`network` snn")


PLATEAU = ReadBy(("patience",), lambda run: run.schedule == "plateau", "`schedule` plateau")


def schedule_of(run: Any, drops: tuple[int, ...] = ()) -> Schedule:
    """Of a resolved run; ``drops``: the epochs of a step, which is what there is by default where there are some."""
    kind = run.schedule or ("step" if drops else "constant")
    own = {"patience": run.patience} if run.patience is not None else {}
    return Schedule(kind, run.warmup or 0, drops if kind == "step" else (), **own)


def is_set(value: object) -> bool:
    """Whether somebody has said so: neither None nor a switch that is off."""
    return value is not None and value is not False


def refuse_unread(run: RunBase, rules: Iterable[ReadBy]) -> None:
    """Raise UserError for an option that is set and that the run does not read."""
    for rule in rules:
        for name in rule.names:
            if is_set(value := getattr(run, name)) and not rule.reads(run):
                raise UserError(f"{given(name, value)} is read with {rule.who} only; leave it out")


def without_unread(run: Run, rules: Iterable[ReadBy]) -> Run:
    """The run without the options that it does not read."""
    return replace(run, **{name: None for rule in rules if not rule.reads(run) for name in rule.names})


def cells_of_sweep(runs: Sequence[Run], rules: Sequence[ReadBy]) -> list[Run]:
    """The runs of a sweep, each without what it does not read.

    Raises:
        UserError: an option is read by none of them.
    """
    for rule in rules:
        if not any(rule.reads(run) for run in runs):
            for name in rule.names:
                if is_set(value := getattr(runs[0], name)):
                    raise UserError(f"{given(name, value)} is read with {rule.who} only, by none of the runs; leave it "
                                    f"out")  # fmt: skip
    return [without_unread(run, rules) for run in runs]


def chosen_variants(config: SweepOptions) -> tuple[Variant, ...]:
    """Those of ``variants`` that ``iemf`` and ``joint`` leave: the ones asked for, or all but those refused."""
    wanted = {name for name, value in (("iemf", config.iemf), ("joint", config.joint)) if value}
    left_out = {name for name, value in (("iemf", config.no_iemf), ("joint", config.no_joint)) if value}
    return tuple(v for v in config.variants if (v in wanted if wanted else True) and v not in left_out)


def checked(config: SweepOptions, *names: str) -> SweepOptions:
    """The sweep with the variants that are left.

    Raises:
        UserError: see :func:`check_grid`.
    """
    config = replace(config, variants=chosen_variants(config))
    check_grid(config, *names, "variants")
    return config


def check_grid(config: GridOptions, *names: str) -> None:
    """Raise UserError where one of ``names`` or the seeds is empty or holds something twice, or jobs is below 1."""
    for name in (*names, "seeds"):
        chosen = getattr(config, name)
        if not chosen or len(set(chosen)) < len(chosen):
            raise UserError(f"`{name}` {' '.join(map(str, chosen))}: name at least one, each once")
    if config.jobs is not None and config.jobs < 1:
        raise UserError(f"`jobs` {config.jobs} must be 1 or more")
    check_executor(config)
    if config.collect and config.dry_run:
        raise UserError("`collect` tabulates what is finished and `dry_run` says what would be trained; name one")


def filled(run: Run, defaults: Mapping[str, Any], rules: Iterable[ReadBy]) -> Run:
    """The run with the defaults of what is left open, and without what it does not read."""
    missing = {name: value for name, value in defaults.items() if getattr(run, name) is None}
    return without_unread(replace(run, **missing), rules)


def fields_of(config: object, kind: type, **others: Any) -> dict[str, Any]:
    """What runs take over from a sweep: the fields of the dataclass ``kind``, some with ``others`` as their value."""
    return {field.name: getattr(config, field.name) for field in fields(kind)} | others


def placed(runs: Iterable[Run], defaults: Callable[[Run], Mapping[str, Any]], out: Path) -> list[Run]:
    """Resolved runs, each in a folder of its own under OUT/runs."""
    folder = out.expanduser() / "runs"
    return [replace(run, out=folder / run_name(run, defaults(run))) for run in runs]


def run_name(run: RunBase, defaults: Mapping[str, Any]) -> str:
    """Of a run's folder: its cell, the options of IEMF that are not the default, and its seed.

    Another γ is so another cell, beside the first.
    """
    own = [f"{name.replace('_', '-')}{getattr(run, name):g}" if isinstance(getattr(run, name), int | float) else
           f"{name}-{getattr(run, name)}"
           for name in OF_IEMF if getattr(run, name) not in (None, defaults.get(name))]  # fmt: skip
    return "-".join([*run.parts, *own, f"seed{run.seed}"])


def plain(value: object) -> object:
    """A config value as JSON holds it; an infinite number becomes the text "inf"."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) or value == math.inf else value


def shown(value: object) -> str:
    """A value as it would be typed."""
    if isinstance(value, tuple):
        return " ".join(shown(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def given(name: str, value: object) -> str:
    """An option as it would be typed, for an error."""
    return f"`{name}`" if value is True else f"`{name}` {shown(value)}"


def check_least(run: object, least: Mapping[str, float]) -> None:
    """Raise UserError for a number that is set and below its least value, or not finite."""
    for name, bound in least.items():
        value = getattr(run, name)
        if value is not None and not bound <= value < math.inf:
            raise UserError(f"`{name}` {shown(value)} must be {bound} or more")


def check_common(run: Any) -> None:
    """Raise UserError for an option of every run that is out of range."""
    check_least(run, {"time_steps": 1, "modulate_from": 0, "seed": 0, "warmup": 0, "patience": 1, "method_epochs": 1})
    for name in ("lr", "gamma", "clip_norm", "method_constant"):
        value = getattr(run, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"`{name}` {shown(value)} must be a positive finite number")
    if run.seed >= 2**32:
        raise UserError(f"`seed` {run.seed} must be below 2^32")
    if run.precision == "fp16" and not torch.cuda.is_available():
        raise UserError("`precision` fp16 needs a CUDA device; use bf16 or fp32 on the CPU")
    first, last = run.modulate_from or 0, run.modulate_to
    if 0 < first >= run.epochs:
        raise UserError(f"`modulate_from` {first} leaves ξ without an epoch: there are {run.epochs}; lower it")
    if last is not None and not first <= last < run.epochs:
        raise UserError(f"`modulate_to` {last} must be an epoch from {first} to {run.epochs - 1}, the last")
    if isinstance(run.xi, int | float) and not 0 <= run.xi < math.inf:
        raise UserError(f"`xi` {shown(run.xi)} must be a finite number of 0 or more, or shuffled")
    if run.recipe != "released":
        return
    if run.xi is not None:
        raise UserError(f"`xi` {shown(run.xi)}: `recipe` released measures ξ, as the released code does; leave it out")
    if run.gamma not in (None, 1.0):
        raise UserError(f"`gamma` {shown(run.gamma)}: `recipe` released ignores γ, as that code does; leave it out")
