"""A learning rate, and what else is searched, for each cell of a comparison: chosen on validation, n trials each.

    python -m experiments.tune --methods concat ogm-ge --trials 8 --out runs/tune
    python -m experiments.compare --methods concat ogm-ge --tuned runs/tune/tuned.json --out runs/compare-tuned

Every cell (network, method, variant) has the same trials: its defaults, and points drawn once for all. They train as
runs of a comparison do, but never read the test split. OUT has tuned.json, which experiments.compare reads, trials.csv
with all of them, table.md and tuning.png.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro
from accelerate import Accelerator

from experiments.classification import build, compare, tune_report
from experiments.classification.options import (
    PAPER_METHODS,
    RULES,
    MethodName,
    RunConfig,
    TrainingConfig,
    resolve,
)
from experiments.classification.search_space import Range, Space, around
from experiments.classification.size import size_of
from experiments.classification.trainer import trainer_of
from experiments.sweep.execution import sweep
from experiments.sweep.options import Network, SweepOptions, cells_of_sweep, checked, shown
from experiments.sweep.runs import best_of, carry_out
from experiments.sweep.task import Done, SweepTask
from iemf.balance import METHODS
from iemf.data.base import AudioVisualData
from iemf.errors import Diverged, UserError
from iemf.training import RunFolder

AROUND = 4.0  # by default the rate is searched from a quarter to four times the cell's own
AROUND_CONSTANT = 2.0
RANGES = ("lr", "weight_decay", "gamma")  # options that have a range on the command line


@dataclass(frozen=True)
class TuneConfig(SweepOptions, TrainingConfig):
    """Search options of training for every cell of a comparison, on validation alone."""

    networks: Annotated[tuple[Network, ...], tyro.conf.arg(aliases=["--network"])] = ("ann", "snn")
    methods: Annotated[tuple[MethodName, ...], tyro.conf.arg(aliases=["--method", "--balance"])] = PAPER_METHODS
    seeds: tuple[int, ...] = (0,)
    """Of every trial; a cell's trials are ranked by their mean validation accuracy over them."""
    trials: int = 8
    """Of every cell, the one with its defaults among them."""
    lr_range: Range | None = None
    """LOW HIGH of the learning rate; by default from a quarter to four times the cell's own, unless --lr fixes it."""
    weight_decay_range: Range | None = None
    """Likewise; not searched by default."""
    gamma_range: Range | None = None
    """IEMF: likewise of γ; cells without ξ have the other options of the same trials."""
    constants: bool = False
    """Search each balancing method's own constant too, from half to twice the published one; cells of methods without
    one have the other options of the same trials."""
    search_seed: int = 0
    """Of the trials' values."""
    out: Path = Path("runs/tune")
    """Folder of tuned.json; the trials go into OUT/runs."""


def space_of(config: TuneConfig, run: RunConfig) -> Space:
    """Where a cell is searched, from its run with the defaults."""
    given = {name: getattr(config, f"{name}_range") for name in RANGES}
    if given["lr"] is None and config.lr is None:
        given["lr"] = around(run.lr, AROUND)
    if config.constants and (constant := METHODS[run.method].constant) is not None:
        given["method_constant"] = around(constant, AROUND_CONSTANT)
    return Space(**given)


def check(config: TuneConfig) -> TuneConfig:
    """The config with the variants that are left.

    Raises:
        UserError: fewer than two trials, an option both fixed and searched, or a grid that is none.
    """
    config = checked(config, "networks", "methods")
    if config.trials < 2:
        raise UserError(f"`trials` {config.trials} must be 2 or more: the first has the defaults")
    if config.constants and config.method_constant is not None:
        raise UserError(f"`method_constant` {shown(config.method_constant)} is fixed and `constants` searches it; "
                        f"leave one out")  # fmt: skip
    for name in RANGES:
        if getattr(config, name) is not None and getattr(config, f"{name}_range") is not None:
            raise UserError(f"`{name}` {shown(getattr(config, name))} is fixed and `{name}_range` searches it; "
                            f"leave one out")  # fmt: skip
    if config.gamma_range is not None and "iemf" not in config.variants:
        raise UserError(f"`gamma_range` {shown(config.gamma_range)} is read with `iemf` only, by none of the cells; "
                        f"leave it out")  # fmt: skip
    return config


class Trial(NamedTuple):
    """A run of the search: its number, from 0, and where its cell is searched."""

    number: int
    space: Space
    run: RunConfig


def grid(config: TuneConfig) -> list[Trial]:
    """One a cell, trial and seed, resolved; trial 0 has the cell's defaults."""
    config = check(config)
    shared, folder, found = compare.shared_options(config), config.out.expanduser() / "runs", []
    for cell in cells_of_sweep(compare.cells(config, shared), RULES):
        space = space_of(config, resolve(cell))
        for number, options in enumerate([{}, *space.draws(config.trials, config.search_seed)]):
            own = {name: value for name, value in options.items() if name != "gamma" or cell.iemf}
            for seed in config.seeds:
                name = "-".join([*cell.parts, f"trial{number}", f"seed{seed}"])
                found.append(Trial(number, space, resolve(replace(cell, **own, seed=seed, out=folder / name))))
    runs = compare.with_workers([trial.run for trial in found], config)
    return [trial._replace(run=run) for trial, run in zip(found, runs, strict=True)]


def train(config: RunConfig) -> dict:
    """Train a trial and return what validation says of it; one that diverged is a result too."""
    return carry_out(resolve(config), build.build_data, _train)


def _train(config: RunConfig, data: AudioVisualData, folder: RunFolder, accelerator: Accelerator) -> dict:
    trainer = trainer_of(config, data, folder, accelerator)
    try:
        trainer.fit(resume=config.resume)
    except Diverged as error:
        return {"diverged": str(error), "val_accuracy": None, "val_loss": None, "best_epoch": None}
    best = best_of(trainer)
    record = trainer.history[best["best_epoch"]]
    return {"val_accuracy": record["val_accuracy_fused"], "val_loss": record["val_loss"]} | best


def write(trials: Mapping[Path, Trial], done: Done, out: Path, unfinished: int) -> str:
    """The files of the search, and its table, from finished runs by their folders."""
    finished = [(trials[run.out].number, trials[run.out].space, run, results) for run, results in done]
    return tune_report.write([tune_report.Tried(*each) for each in finished], out, unfinished)


def main(config: TuneConfig) -> None:
    """Search, write, and print the table."""
    trials = grid(config)
    by_folder = {trial.run.out: trial for trial in trials}
    task = SweepTask(train, size_of, functools.partial(write, by_folder), prepare=compare.look_at_data,
                     mark=compare.with_digest)  # fmt: skip
    sweep(config, [trial.run for trial in trials], task, config.out.expanduser())
