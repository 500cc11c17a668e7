"""From finished class-incremental runs to a table, JSON and the two pictures of Fig. 3."""

from collections.abc import Sequence
from pathlib import Path

from experiments import published
from experiments.continual_options import ContinualRun
from experiments.report import plus_minus, seeds_in_words, table_lines
from iemf.analysis import continual_plots
from iemf.files import write_atomically, write_json

Cell = tuple[str, str, str]  # network, method, variant
VARIANTS = {"vanilla": "vanilla", "joint": "joint (ξ = 1)", "iemf": "IEMF"}
MEASURES = {"mean_accuracy": "AIA", "average_forgetting": "AFR"}


def write(done: Sequence[tuple[ContinualRun, dict]], out: Path) -> str:
    """Write everything into ``out`` and return the table as Markdown."""
    cells: dict[Cell, dict[int, dict]] = {}
    for run, results in done:
        cells.setdefault((run.network, run.method, run.variant), {})[run.seed] = results
    example = done[0][0]
    table = markdown(cells, example, epochs_of(done))
    write_atomically(out / "table.md", table + "\n")
    summary = [
        {"network": network, "method": method, "variant": variant, "runs": [by_seed[seed] for seed in sorted(by_seed)]}
        for (network, method, variant), by_seed in cells.items()
    ]
    write_json(out / "results.json", {"settings": settings(example), "cells": summary})
    title = f"{example.dataset}, {epochs_of(done)} epochs a task, n = {max(map(len, cells.values()))} seed(s)"
    curves = {cell: [r["average_accuracies"] for r in by_seed.values()] for cell, by_seed in cells.items()}
    continual_plots.average_accuracy(curves, out / "average_accuracy.png", title)
    bars = {cell: {name: [r[name] for r in by_seed.values()] for name in MEASURES} for cell, by_seed in cells.items()}
    continual_plots.accuracy_and_forgetting(bars, out / "accuracy_and_forgetting.png", title)
    return table


def settings(example: ContinualRun) -> dict:
    """The options that the runs share."""
    own = ("network", "method", "variant", "seed", "out", "progress", "data_root", "paper")
    return {name: value for name, value in example.stored().items() if name not in own}


def epochs_of(done: Sequence[tuple[ContinualRun, dict]]) -> str:
    """One number, or one a method where they differ."""
    by_method = {run.method: run.epochs for run, _ in done}
    if len(set(by_method.values())) == 1:
        return str(done[0][0].epochs)
    return ", ".join(f"{epochs} ({continual_plots.METHOD_LABELS[method]})" for method, epochs in by_method.items())


def markdown(cells: dict[Cell, dict[int, dict]], example: ContinualRun, epochs: str) -> str:
    """A row a method and network: AIA and AFR of each variant, what ξ itself changes, and what the paper has."""
    variants = [v for v in VARIANTS if any(cell[2] == v for cell in cells)]
    compared = {"joint", "iemf"} <= set(variants)
    header = ["method", "network", *(f"{short}: {VARIANTS[v]}" for short in MEASURES.values() for v in variants)]
    header += [f"{short}: IEMF − joint" for short in MEASURES.values()] if compared else []
    paper = published.continual(example.dataset)
    header += [f"paper, {short}: vanilla → IEMF" for short in MEASURES.values()] if paper else []
    rows = []
    for network, method in dict.fromkeys(cell[:2] for cell in cells):
        of = {v: cells.get((network, method, v), {}) for v in variants}
        row = [continual_plots.METHOD_LABELS[method], network.upper()]
        row += [plus_minus([r[name] for r in of[v].values()]) for name in MEASURES for v in variants]
        if compared:
            both = sorted(of["iemf"].keys() & of["joint"].keys())
            row += [plus_minus([of["iemf"][s][n] - of["joint"][s][n] for s in both], signed=True) for n in MEASURES]
        if paper:
            row += of_paper(example.dataset, network, method)
        rows.append(row)
    seeds = sorted({seed for by_seed in cells.values() for seed in by_seed})
    note = "Mean accuracy over tasks (AIA, higher is better) and average forgetting rate (AFR, lower is better) in %, "
    note += f"{seeds_in_words(seeds, [len(by_seed) for by_seed in cells.values()])}. {example.dataset}, "
    note += f"recipe {example.recipe}, {epochs} epochs a task, {example.optimizer} with lr {example.lr:g}, "
    note += f"{example.memory} exemplars; "
    note += "validation chooses each task's epoch, test is read after it."
    return "\n".join([table_lines(header, rows), "", note])


def of_paper(dataset: str, network: str, method: str) -> list[str]:
    """AIA and AFR of Table S4, vanilla → IEMF; it has ANNs and no fine-tuning."""
    numbers = published.continual(dataset)
    vanilla, iemf = (numbers.get((method, variant)) for variant in ("vanilla", "iemf"))
    if network != "ann" or vanilla is None:
        return ["–"] * len(MEASURES)
    return [f"{before:.2f} → {after:.2f}" for before, after in zip(vanilla, iemf, strict=True)]
