"""What of ξ matters: its scale γ, its gate, when it acts, that it answers to the batch (Fig. 2 c1, c2 and beyond).

    python -m experiments.ablation --out runs/ablation
    python -m experiments.ablation --networks ann --groups gamma fixed shuffled --gammas 1 5 --out runs/small
    python -m experiments.ablation --optimizer adamw --groups scale --out runs/ablation-adamw

Vanilla, joint learning and IEMF with γ = 1, and beside them the settings of GROUPS. Runs go into OUT/runs, those of the
released recipe into OUT/released/runs. The fixed ξ is the mean of the finished runs with γ = 1, so it comes last.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from experiments.classification import ablation_report, compare
from experiments.classification.ablation_settings import (
    GAMMAS,
    GROUPS,
    Group,
    cell_of,
    options_of,
    own_mean,
    published_of,
    setting_of,
)
from experiments.classification.options import RULES, MethodName, RunConfig, TrainingConfig, defaults_of, resolve
from experiments.classification.report import LABELS
from experiments.classification.size import size_of
from experiments.sweep.execution import sweep
from experiments.sweep.options import OF_IEMF, GridOptions, Network, cells_of_sweep, check_grid, placed, shown
from experiments.sweep.runs import results_of
from experiments.sweep.task import Size
from iemf.errors import UserError


@dataclass(frozen=True)
class AblationConfig(GridOptions, TrainingConfig):
    """Run or collect an ablation of ξ and tabulate it. The options of IEMF are what it varies."""

    networks: Annotated[tuple[Network, ...], tyro.conf.arg(aliases=["--network"])] = ("ann", "snn")
    methods: Annotated[tuple[MethodName, ...], tyro.conf.arg(aliases=["--method"])] = ("ogm-ge",)
    groups: tuple[Group, ...] | None = None
    """gamma: other γ. gate: other κ. window: ξ in one half of the epochs alone. shuffled: ξ of an earlier batch. fixed:
    ξ is the mean of the runs with γ = 1. recipe: vanilla, joint and IEMF as the released code trains them. scale: ξ on
    the step instead of the gradient, or the other way round. By default all, scale with adam and adamw alone."""
    gammas: tuple[float, ...] = GAMMAS
    """gamma: γ; 1 is always among them."""
    out: Path = Path("runs/ablation")
    """Folder of the table; the runs go into OUT/runs."""


def checked(config: AblationConfig) -> AblationConfig:
    """With the groups that there are by default.

    Raises:
        UserError: see :func:`experiments.sweep.options.check_grid`; an option that is varied, or the released recipe.
    """
    if config.groups is None:
        left = [group for group in GROUPS if group != "scale" or config.optimizer in ("adam", "adamw")]
        config = replace(config, groups=tuple(left))
    check_grid(config, "networks", "methods", "groups", "gammas")
    for name in OF_IEMF:
        if (value := getattr(config, name)) is not None:
            raise UserError(f"`{name}` {shown(value)}: an ablation varies it; leave it out, `groups` says what is run")
    if config.recipe == "released":
        raise UserError("`recipe` released: an ablation is of `recipe` paper, and has the other in `groups` recipe")
    return config


def grid(config: AblationConfig) -> list[RunConfig]:
    """One resolved run a setting and seed, the fixed ξ aside."""
    config = checked(config)
    shared = compare.shared_options(config)
    base = resolve(RunConfig(**shared, iemf=True))
    if "window" in config.groups and base.epochs < 2:
        raise UserError(f"`epochs` {base.epochs} has no halves; raise it, or leave window out of `groups`")
    variants = [{}, {"joint": True}]
    settings = [{"iemf": True} | each for each in options_of(config.groups, config.gammas, base.epochs, base.scale)]
    released = [{"recipe": "released"} | each for each in (*variants, {"iemf": True}) if "recipe" in config.groups]

    def runs(of: Sequence[dict]) -> list[RunConfig]:
        made = [RunConfig(**(shared | each), network=network, method=method, seed=seed)
                for network in config.networks for method in config.methods for each in of for seed in config.seeds
                ]  # fmt: skip
        return [resolve(run) for run in cells_of_sweep(made, RULES)] if made else []

    placed_runs = [*placed(runs([*variants, *settings]), defaults_of, config.out),
                   *placed(runs(released), defaults_of, config.out / "released")]  # fmt: skip
    return compare.with_workers(placed_runs, config)


def fixed(config: AblationConfig, runs: Sequence[RunConfig]) -> list[RunConfig]:
    """The runs with a fixed ξ, of each network and method whose runs with γ = 1 are all finished.

    In a plan, which only times a step, ξ is 1 as long as it is not known.
    """
    of_cell: dict[tuple[str, str], list[RunConfig]] = {}
    for run in runs:
        if setting_of(run) == ("gamma", "γ = 1"):
            of_cell.setdefault((run.network, run.method), []).append(run)
    found = []
    for same in of_cell.values():
        known = all(results_of(run) is not None for run in same)
        if known or config.dry_run:
            xi = own_mean(same) if known else 1.0
            found += [resolve(replace(run, xi=xi, gamma=None, gate=None)) for run in same]
    return placed(found, defaults_of, config.out)


def size(run: RunConfig) -> Size:
    """Of a run, with its setting for a variant and the paper's number for that, on the paper's data."""
    paper = published_of(cell_of(run)) if run.dataset == "kinetics-sounds" else None
    return size_of(run)._replace(labels=(LABELS[run.method], setting_of(run).label),
                                 paper="–" if paper is None else f"{paper:.2f}")  # fmt: skip


def main(config: AblationConfig) -> None:
    """Run, collect, write, and print the table."""
    config = checked(config)
    task = replace(compare.TASK, size=size, write=ablation_report.write, cell=cell_of)
    if "fixed" in config.groups:
        task = replace(task, then=functools.partial(fixed, config))
    sweep(config, grid(config), task, config.out.expanduser())
