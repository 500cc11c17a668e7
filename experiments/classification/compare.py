"""ANN against SNN, per fusion method, with and without IEMF, over seeds.

    python -m experiments.compare --out runs/compare
    python -m experiments.compare --methods concat ogm-ge --seeds 0 1 --epochs 5 --out runs/small

Runs what is missing under OUT/runs, collects what is there, and writes table.md, results.json, results.csv, epochs.csv
and three PNGs into OUT. Run again, it goes on where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.classification import own_data, report, tuned
from experiments.classification.options import (
    EMBEDDED,
    PAPER_METHODS,
    RULES,
    MethodName,
    RunConfig,
    TrainingConfig,
    defaults_of,
    modalities_of,
    resolve,
)
from experiments.classification.run import train
from experiments.classification.size import all_small, size_of
from experiments.sweep.balance import that_differ
from experiments.sweep.execution import sweep
from experiments.sweep.options import Network, SweepOptions, cells_of_sweep, checked, fields_of, placed
from experiments.sweep.runs import results_of, say
from experiments.sweep.task import SweepTask
from experiments.sweep.threads import share
from iemf.data.class_tree import read_tree
from iemf.data.preparation import manifest
from iemf.data.sets.digest import digest_of
from iemf.errors import UserError
from iemf.pool import available_cores
from iemf.training import RunFolder


@dataclass(frozen=True)
class CompareConfig(SweepOptions, TrainingConfig):
    """Run or collect a grid of methods x variants x networks x seeds and tabulate it."""

    networks: Annotated[tuple[Network, ...], tyro.conf.arg(aliases=["--network"])] = ("ann", "snn")
    methods: Annotated[tuple[MethodName, ...], tyro.conf.arg(aliases=["--method", "--balance"])] = PAPER_METHODS
    unimodal: bool = False
    """Also a network of each modality alone: a run a network, modality and seed, whatever the methods and variants."""
    tuned: Path | None = None
    """A tuned.json of experiments.tune: what it has chosen for each cell."""
    out: Path = Path("runs/compare")
    """Folder of the table; the runs go into OUT/runs."""


def grid(config: CompareConfig) -> list[RunConfig]:
    """One resolved run a cell and seed; options of one network or variant are left out of the others.

    Raises:
        UserError: see :func:`experiments.sweep.options.checked` and :func:`resolve`.
    """
    config = checked(config, "networks", "methods")
    shared = shared_options(config)
    runs = [replace(cell, seed=seed) for cell in cells(config, shared) for seed in config.seeds]
    if config.unimodal:
        if config.tuned is not None:
            raise UserError(f"`tuned` {config.tuned} has nothing for networks of one modality, which `iemf tune` does "
                            f"not search; leave out `unimodal`")  # fmt: skip
        runs += [RunConfig(**shared, network=network, modality=modality, seed=seed)
                 for network in config.networks for modality in modalities_of(config.dataset) for seed in config.seeds
                 ]  # fmt: skip
    runs = tuned.applied(cells_of_sweep(runs, RULES), config.tuned)
    runs = placed(map(resolve, runs), defaults_of, config.out)
    return [as_trained(run, config) for run in with_workers(runs, config)]


def cells(config: Any, shared: dict[str, Any]) -> list[RunConfig]:
    """A run, not resolved, of every network, method and variant; ``shared``: its other options."""
    return [
        RunConfig(**shared, network=network, method=method, iemf=variant == "iemf", joint=variant == "joint")
        for network in config.networks
        for method in config.methods
        for variant in that_differ(config.variants, method)
    ]


def with_workers(runs: list[RunConfig], config: Any) -> list[RunConfig]:
    """The cores that their training leaves, where the config does not say."""
    return runs if config.workers is not None else with_cores_left(runs, config.jobs)


def with_cores_left(runs: list[RunConfig], jobs: int | None) -> list[RunConfig]:
    """The cores that training leaves, shared out as readers of files; ``jobs``: runs at a time, as asked for."""
    if all(run.dataset in EMBEDDED for run in runs):
        return runs
    jobs = share(len(runs), jobs, lambda: all_small(runs)).jobs
    return [replace(run, workers=max(0, available_cores() // jobs - 1)) for run in runs]


def as_trained(run: RunConfig, config: CompareConfig) -> RunConfig:
    """The run; where its data have gone, with the epochs that it was given by their size."""
    if config.data_root is None or run.data_digest is not None or results_of(run) is None:
        return run
    stored = RunFolder(run.out).read_config()
    return replace(run, **{name: stored[name] for name in own_data.OF_SIZE
                           if name in stored and getattr(config, name) is None})  # fmt: skip


def shared_options(config: Any) -> dict[str, Any]:
    """What all runs of a grid take over from its config, which has the fields of TrainingConfig and GridOptions."""
    shared = fields_of(config, TrainingConfig, progress=config.progress)
    if config.data_root is not None:
        shared["data_digest"] = digest_of(config.data_root.expanduser().absolute())
    return shared


def with_digest(runs: list[RunConfig]) -> list[RunConfig]:
    """Finished runs whose data have gone keep the mark that they were trained with."""
    stored = [RunFolder(run.out).read_config() if results_of(run) is not None else {} for run in runs]
    return [replace(run, data_digest=run.data_digest or config.get("data_digest"))
            for run, config in zip(runs, stored, strict=True)]  # fmt: skip


def look_at_data(runs: Sequence[RunConfig]) -> None:
    """Say on stderr what a tree of the user's own holds beside its clips."""
    run = runs[0]
    if run.dataset == "folder" and not manifest.is_prepared(run.data_root):
        for remark in read_tree(run.data_root).remarks:
            say("compare", remark)


TASK = SweepTask(train, size_of, report.write, prepare=look_at_data, mark=with_digest)


def main(config: CompareConfig) -> None:
    """Run, collect, write, and print the table."""
    sweep(config, grid(config), TASK, config.out.expanduser())
