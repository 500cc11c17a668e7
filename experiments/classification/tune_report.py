"""From the finished trials of a search to tuned.json, the table, the list of trials and the picture."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.classification.options import RunConfig
from experiments.classification.report import LABELS, schedule
from experiments.classification.search_space import SEARCHED, Space, in_words
from experiments.sweep.report import settings
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis.style import SHORT_VARIANT_LABELS
from iemf.analysis.tuning_plot import over_rate
from iemf.files import write_atomically, write_json

FIELDS = ("network", "method", "variant")
COLUMNS = (*FIELDS, "trial", "seed", *SEARCHED, "val_accuracy", "val_loss", "best_epoch", "diverged")


class Tried(NamedTuple):
    """A finished trial."""

    number: int
    space: Space
    run: RunConfig
    results: dict


class Chosen(NamedTuple):
    """The best trial of a cell, the options that were searched, and what the others came to."""

    cell: tuple[str, str, str]
    number: int
    options: dict[str, float]
    val_accuracy: float
    default: float | None  # of trial 0; None: it diverged
    median: float  # of all trials that did not diverge
    trials: int
    diverged: int
    space: dict[str, tuple[float, float]]


def rank(runs: Sequence[dict]) -> tuple[float, float]:
    """Of one trial's results, a seed each: mean validation accuracy, then minus the loss; a divergence is the worst."""
    if any(results["val_accuracy"] is None for results in runs):
        return float("-inf"), float("-inf")
    return (statistics.fmean(results["val_accuracy"] for results in runs),
            -statistics.fmean(results["val_loss"] for results in runs))  # fmt: skip


def choose(tried: Sequence[Tried]) -> list[Chosen]:
    """The best trial of each cell; the lower number of equals. A cell all of whose trials diverged has none."""
    cells: dict[tuple, dict[int, list[Tried]]] = {}
    for each in tried:
        cells.setdefault(each.run.cell, {}).setdefault(each.number, []).append(each)
    found = []
    for cell, trials in cells.items():
        ranks = {number: rank([each.results for each in runs]) for number, runs in sorted(trials.items())}
        number = max(ranks, key=lambda key: (ranks[key], -key))
        accuracies = {key: value[0] for key, value in ranks.items() if value[0] > float("-inf")}
        if not accuracies:
            continue
        run, space = trials[number][0].run, trials[number][0].space.ranges()
        options = {name: getattr(run, name) for name in space if getattr(run, name) is not None}
        found.append(Chosen(cell, number, options, accuracies[number], accuracies.get(0),
                            statistics.median(accuracies.values()), len(ranks), len(ranks) - len(accuracies), space
                            ))  # fmt: skip
    return found


def as_json(tried: Sequence[Tried], chosen: Sequence[Chosen]) -> dict:
    """What ``experiments.compare`` reads: the settings of the search, and of each cell what was chosen and how."""
    shared = settings([(each.run, each.results) for each in tried])
    cells = [dict(zip(FIELDS, each.cell, strict=True)) | {"chosen": each.options, "trials": each.trials,
             "seeds": sorted({one.run.seed for one in tried if one.run.cell == each.cell}), "trial": each.number,
             "val_accuracy": each.val_accuracy, "space": {name: list(ends) for name, ends in each.space.items()}}
             for each in chosen]  # fmt: skip
    return {"settings": {name: value for name, value in shared.items() if name not in SEARCHED}, "cells": cells}


def as_csv(tried: Sequence[Tried]) -> str:
    """One line a run."""
    rows = []
    for number, _, run, results in tried:
        options = [getattr(run, name) for name in SEARCHED]
        found = [results["val_accuracy"], results["val_loss"], results["best_epoch"], int("diverged" in results)]
        rows.append(["" if value is None else value for value in (*run.cell, number, run.seed, *options, *found)])
    return csv_text(COLUMNS, rows)


def markdown(tried: Sequence[Tried], chosen: Sequence[Chosen], unfinished: int) -> str:
    """One row a cell: what was chosen, its validation accuracy, that of the default and the median."""
    searched = [name for name in SEARCHED if any(name in each.options for each in chosen)]
    header = ["method", "network", "variant", *searched, "validation / %", "default", "median", "trials", "diverged"]
    rows = [
        [LABELS[each.cell[1]], each.cell[0].upper(), SHORT_VARIANT_LABELS[each.cell[2]]]
        + [f"{each.options[name]:g}" if name in each.options else "–" for name in searched]
        + [f"{each.val_accuracy:.2f}", "–" if each.default is None else f"{each.default:.2f}", f"{each.median:.2f}",
           str(each.trials), str(each.diverged)]
        for each in sorted(chosen, key=lambda each: list(LABELS).index(each.cell[1]))
    ]  # fmt: skip
    run = tried[0].run
    seeds = sorted({each.run.seed for each in tried})
    spaces = {in_words(each.space): None for each in chosen}
    told = f"Validation accuracy in %, seed(s) {' '.join(map(str, seeds))}; the test split was not read. "
    told += f"{run.dataset}, ResNet-18 of width {run.width}, {run.fusion} fusion, {schedule(run, 'lr searched')}. "
    told += f"Every cell has the same trials, its defaults among them: {'; '.join(spaces)}, even in the logarithm."
    told += f" {unfinished} run(s) are not finished and not counted." if unfinished else ""
    return "\n".join([table_lines(header, rows), "", told])


def write(tried: Sequence[Tried], out: Path, unfinished: int) -> str:
    """Write the four files into ``out`` and return the table as Markdown."""
    chosen = choose(tried)
    table = markdown(tried, chosen, unfinished)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "tuned.json", as_json(tried, chosen))
    write_atomically(out / "trials.csv", as_csv(tried))
    write_atomically(out / "table.md", f"{table}\n")
    records = [dict(zip(FIELDS, each.run.cell, strict=True)) | {"lr": each.run.lr, "trial": each.number}
               | {"val_accuracy": each.results["val_accuracy"]} for each in tried]  # fmt: skip
    best = {each.cell: each.number for each in chosen}
    over_rate(records, best, LABELS, out / "tuning.png", f"{tried[0].run.dataset}, {tried[0].run.epochs} epochs")
    return table
