"""What a modality gains from having been trained with another: Fig. 2 d, for audio and visual, ANN and SNN.

    python -m experiments.unimodal_gain --runs runs/av-digits --out runs/unimodal-gain

Encoder and head of each modality are taken from the best epoch of the finished runs of one method (vanilla, joint,
IEMF), and trained on with that modality alone. Beside them networks that never saw the other modality: of as many
epochs as the runs; these trained on in the same way; and of as many epochs as both together, in one course. Runs go
into OUT/runs; what is finished is not trained again.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from experiments.classification import compare, unimodal_gain_report
from experiments.classification.options import (
    ALONE,
    RULES,
    MethodName,
    Modality,
    RunConfig,
    defaults_of,
    modalities_of,
    resolve,
)
from experiments.classification.robustness import find_runs
from experiments.classification.size import size_of
from experiments.classification.unimodal_gain_report import Courses
from experiments.sweep.execution import sweep
from experiments.sweep.options import GridOptions, Network, check_grid, check_least, run_name, shown, without_unread
from experiments.sweep.runs import results_of
from experiments.sweep.task import Size
from iemf.analysis.style import ALONE_LABELS
from iemf.errors import UserError
from iemf.training import RunFolder
from iemf.training.record import differing_fields

SLOWER = 0.1  # of the runs' learning rate: what has been learnt is not to be thrown away
UNKNOWN = "not trained yet"  # in a plan


@dataclass(frozen=True, kw_only=True)
class UnimodalGainConfig(GridOptions):
    """Train the branches of finished multimodal runs on alone, beside networks of one modality."""

    runs: Path
    """The --out of experiments.compare; it is only read."""
    method: Annotated[MethodName, tyro.conf.arg(aliases=["--balance"])] = "ogm-ge"
    """Of the runs that branches are taken from."""
    networks: Annotated[tuple[Network, ...] | None, tyro.conf.arg(aliases=["--network"])] = None
    """Of the runs', those to look at; all by default."""
    modalities: tuple[Modality, ...] | None = None
    """Likewise."""
    seeds: tuple[int, ...] | None = None
    """Likewise."""
    epochs: int | None = None
    """Of training on alone; as many as the runs' by default."""
    lr: float | None = None
    """Of training on alone, down to 0 on a cosine; a tenth of the runs' by default."""
    out: Path = Path("runs/unimodal-gain")
    """Folder of the table; the runs go into OUT/runs."""


def chosen(config: UnimodalGainConfig) -> list[RunConfig]:
    """The finished runs that branches are taken from.

    Raises:
        UserError: there is none, or an option is out of range.
    """
    check_least(config, {"epochs": 1})
    if config.lr is not None and not 0 < config.lr < float("inf"):
        raise UserError(f"`lr` {shown(config.lr)} must be a positive finite number")
    if config.out.resolve() == config.runs.resolve():
        raise UserError(f"`out` {config.out} is `runs`, and its table.md would be lost; name another folder")
    for name in ("networks", "modalities", "seeds"):  # before the runs are looked for
        if getattr(config, name) == ():
            raise UserError(f"`{name}`: name at least one, each once")
    found, _ = find_runs(config.runs)
    networks = config.networks if config.networks is not None else tuple(dict.fromkeys(run.network for run in found))
    seeds = config.seeds if config.seeds is not None else tuple(sorted({run.seed for run in found}))
    modalities = config.modalities if config.modalities is not None else modalities_of(found[0].dataset)
    check_grid(replace(config, networks=networks, seeds=seeds, modalities=modalities), "networks", "modalities")
    runs = [run for run in found if run.method == config.method and run.network in networks and run.seed in seeds]
    if not runs:
        there = " ".join(dict.fromkeys(run.method for run in found))
        raise UserError(f"no finished run in {config.runs} has `method` {config.method} and one of `networks` "
                        f"{' '.join(networks)} and `seeds` {shown(seeds)}; its methods: {there}")  # fmt: skip
    return runs


def alone(run: RunConfig, modality: str, out: Path, **own: object) -> RunConfig:
    """The network of one modality that goes with a run of both, resolved; ``own``: what else it is told."""
    both = {"method": None, "fusion": None, "iemf": False, "joint": False, "tuned": None}
    one = without_unread(replace(run, **(both | {"modality": modality, "resume": True} | own)), RULES)
    one = resolve(one)
    return replace(one, out=out / "runs" / run_name(one, defaults_of(one)))


def trained_on(
    run: RunConfig, before: RunConfig, modality: str, config: UnimodalGainConfig, **own: object
) -> RunConfig:
    """The run that goes on with one modality where ``before`` ended.

    Args:
        run: of both modalities, whose options it has.
        before: what it begins with.
        modality: of the two.
        config: how long and how fast.
        own: what else it is told.
    """
    course = {"epochs": further_epochs(config, run), "lr": config.lr or SLOWER * run.lr, "schedule": "cosine",
              "warmup": 0, "lr_drop": None, "patience": None}  # fmt: skip
    one = alone(run, modality, config.out, **(course | {"start": before.out} | own))
    origin = ALONE if before.modality else f"{before.method}-{before.variant}"
    return replace(one, out=config.out / "runs" / f"{run.network}-{modality}-from-{origin}-seed{run.seed}")


def further_epochs(config: UnimodalGainConfig, run: RunConfig) -> int:
    """Of training on alone."""
    return config.epochs or run.epochs


def grid(config: UnimodalGainConfig, runs: Sequence[RunConfig]) -> list[RunConfig]:
    """The networks that never saw the other modality, and the branches; what must wait for the former aside."""
    out, found = config.out, []
    one_a_seed = list({(run.network, run.seed): run for run in runs}.values())
    for modality in config.modalities or modalities_of(runs[0].dataset):
        for run in one_a_seed:
            plain = alone(run, modality, out)
            total = run.epochs + further_epochs(config, run)
            longer = alone(run, modality, out, epochs=total)
            name = f"{run.network}-{modality}-alone-{total}-epochs-seed{run.seed}"
            found += [made_before(plain, config.runs), replace(longer, out=out / "runs" / name)]
        found += [trained_on(run, run, modality, config) for run in runs]
    return compare.with_cores_left(found, config.jobs)


def made_before(run: RunConfig, folder: Path) -> RunConfig:
    """The same run where a comparison with `unimodal` has finished it, else as it is."""
    there = RunFolder(folder / "runs" / run.out.name)
    if there.results() is not None and not differing_fields(there.read_config(), run.stored()):
        return replace(run, out=there.path)
    return run


def following(config: UnimodalGainConfig, both: Sequence[RunConfig], runs: Sequence[RunConfig]) -> list[RunConfig]:
    """The networks that never saw the other modality, trained on as the branches are: of those that are finished.

    In a plan, which only times a step, of all.

    Args:
        config: of the program.
        both: see :func:`chosen`.
        runs: see :func:`grid`.
    """
    options, found = {(run.network, run.seed): run for run in both}, []
    for before in runs:
        run = options[before.network, before.seed]
        if before.start is None and before.epochs == run.epochs:
            known = results_of(before) is not None
            if known or config.dry_run:
                own = {} if known else {"start_digest": UNKNOWN}
                found.append(trained_on(run, before, before.modality, config, **own))
    return compare.with_cores_left(found, config.jobs)


def main(config: UnimodalGainConfig) -> None:
    """Run, collect, write, and print the table."""
    config = replace(config, runs=config.runs.expanduser().absolute(), out=config.out.expanduser().absolute())
    both = chosen(config)
    courses = Courses(both[0].epochs, further_epochs(config, both[0]), {run.out: run.variant for run in both})

    def size(run: RunConfig) -> Size:
        return size_of(run)._replace(labels=(ALONE_LABELS[run.modality], courses.label(courses.of(run))), paper="–")

    task = replace(compare.TASK, size=size, mark=list, cell=lambda run: (run.network, run.modality, courses.of(run)),
                   then=functools.partial(following, config, both),
                   write=functools.partial(unimodal_gain_report.write, courses, config.method))  # fmt: skip
    sweep(config, grid(config, both), task, config.out)
