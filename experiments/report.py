"""From finished runs to a table, JSON, CSV and pictures."""

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scipy.stats import ttest_1samp

from experiments import published
from experiments.options import RunConfig, resolve
from experiments.published import Cell
from iemf.analysis import plots
from iemf.errors import UserError
from iemf.files import write_atomically, write_json
from iemf.training import RunFolder

LEVEL = 0.05


def write(runs: Sequence[RunConfig], out: Path) -> str:
    """Collect the finished runs, write everything into ``out`` and return the table as Markdown.

    Raises:
        UserError: none of the runs is finished, or one was made with other options than asked for.
    """
    finished = [(config, RunFolder(config.out)) for config in runs if RunFolder(config.out).results() is not None]
    if not finished:
        raise UserError(f"no finished run under {out / 'runs'}; leave out --collect to train them")
    cells: dict[Cell, dict[int, dict]] = {}
    for config, folder in finished:
        wanted = resolve(config)
        if wanted.data_digest is None:  # the data may lie elsewhere by now
            wanted = replace(wanted, data_digest=folder.read_config().get("data_digest"))
        folder.check(wanted.stored(), resume=True)  # the table must not claim options the runs did not have
        cells.setdefault((config.network, config.method, config.variant), {})[config.seed] = folder.results()
    example = resolve(finished[0][0])
    summary = [summarise(cell, by_seed) for cell, by_seed in cells.items()]
    table = markdown(cells, example, unfinished=len(runs) - len(finished))
    write_atomically(out / "table.md", table + "\n")
    write_json(out / "results.json", {"settings": settings([config for config, _ in finished]), "cells": summary})
    write_atomically(out / "results.csv", as_csv(finished))
    write_atomically(out / "epochs.csv", epochs_as_csv(finished))
    draw(finished, cells, out, example)
    return table


def settings(configs: Sequence[RunConfig]) -> dict:
    """The options the runs share, those of spiking and of IEMF runs included, for the record."""
    own = ("network", "method", "iemf", "joint", "seed", "out", "resume", "progress", "workers")
    record: dict = {}
    for config in configs:
        for name, value in resolve(config).stored().items():
            if name not in own and record.get(name) is None:
                record[name] = value
    return record


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; the latter None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def summarise(cell: Cell, by_seed: dict[int, dict]) -> dict:
    """One cell of the grid: n, mean and deviation of the test accuracies, every seed's value."""
    network, method, variant = cell
    record = {"network": network, "method": method, "variant": variant, "n": len(by_seed), "seeds": sorted(by_seed)}
    for quantity in ("test_accuracy", "test_accuracy_audio", "test_accuracy_visual", "firing_rate"):
        values = [by_seed[seed][quantity] for seed in sorted(by_seed) if quantity in by_seed[seed]]
        if values:
            mean, deviation = mean_and_deviation(values)
            record[quantity] = {"mean": mean, "std": deviation, "values": values}
    return record


def plus_minus(values: Sequence[float], *, signed: bool = False) -> str:
    """ "mean ± deviation" with two decimals; the mean alone for one value, a dash for none."""
    if not values:
        return "–"
    mean, deviation = mean_and_deviation(values)
    text = f"{mean:+.2f}" if signed else f"{mean:.2f}"
    return text if deviation is None else f"{text} ± {deviation:.2f}"


def paired(name: str, rows: Sequence[Sequence[float]]) -> str:
    """In words: how many of the paired differences are above and below zero, and in how many rows a paired t-test at
    5 % (two-sided, uncorrected) tells their mean from zero. Empty without two differences in a row."""
    tested = [row for row in rows if len(row) > 1]
    if not tested:
        return ""
    every = [value for row in tested for value in row]
    # Without any spread the test is undefined: nothing if all are 0, certain if not.
    p_values = [ttest_1samp(row, 0).pvalue if len(set(row)) > 1 else float(row[0] == 0) for row in tested]
    gains = sum(p < LEVEL and statistics.fmean(row) > 0 for p, row in zip(p_values, tested, strict=True))
    losses = sum(p < LEVEL and statistics.fmean(row) < 0 for p, row in zip(p_values, tested, strict=True))
    return (
        f" {name}: {sum(v > 0 for v in every)} of {len(every)} paired differences are positive, "
        f"{sum(v < 0 for v in every)} negative; of {len(tested)} rows {gains} gain and {losses} lose by a paired "
        f"t-test at 5 %, uncorrected."
    )


def difference(
    cells: dict[Cell, dict[int, dict]], network: str, method: str, other: str, variant: str = "iemf"
) -> list[float]:
    """Test accuracy of ``variant`` minus that of ``other``, seed by seed, where both are there."""
    ours, base = (cells.get((network, method, name), {}) for name in (variant, other))
    return [ours[seed]["test_accuracy"] - base[seed]["test_accuracy"] for seed in sorted(ours.keys() & base.keys())]


def markdown(cells: dict[Cell, dict[int, dict]], example: RunConfig, unfinished: int) -> str:
    """One row a network and method; columns for the variants, what IEMF changes, firing rates, the paper's numbers."""
    variants = [v for v in ("vanilla", "joint", "iemf") if any(cell[2] == v for cell in cells)]
    others = [v for v in variants if v != "iemf"] if "iemf" in variants else []
    paper = published.accuracies(example.dataset)
    spiking = any(cell[0] == "snn" for cell in cells)
    names = {"vanilla": "vanilla", "joint": "joint (ξ = 1)", "iemf": "IEMF"}
    header = ["method", "network", *(names[v] for v in variants), *(f"IEMF − {v}" for v in others)]
    header += ["mean firing rate"] if spiking else []
    header += ["paper: vanilla", "paper: IEMF"] if paper else []
    rows = []
    methods = list(dict.fromkeys(cell[1] for cell in cells))
    networks = list(dict.fromkeys(cell[0] for cell in cells))
    for method in methods:
        for network in networks:
            of = {v: cells.get((network, method, v), {}) for v in variants}
            row = [plots.METHOD_LABELS[method], network.upper()]
            row += [plus_minus([r["test_accuracy"] for r in of[v].values()]) for v in variants]
            row += [plus_minus(difference(cells, network, method, v), signed=True) for v in others]
            if spiking:
                rates = [r["firing_rate"] for v in variants for r in of[v].values() if "firing_rate" in r]
                row.append(f"{100 * statistics.fmean(rates):.1f} %" if rates else "–")
            row += [f"{paper[network, method, v]:.2f}" for v in ("vanilla", "iemf")] if paper else []
            rows.append(row)
    seeds = sorted({seed for by_seed in cells.values() for seed in by_seed})
    note = f"Test accuracy in %, {seeds_in_words(seeds, [len(by_seed) for by_seed in cells.values()])}. "
    note += f"{example.dataset}, ResNet-18 of width {example.width}, {example.fusion} fusion, {example.epochs} epochs, "
    note += f"{schedule(example)}; "
    note += "the epoch is chosen on validation, test is read once."
    if "iemf" in variants and "vanilla" in variants and "joint" not in variants:
        note += " IEMF − vanilla is what ξ and the heads' losses do together; the variant joint would tell them apart."
    for other, label in (("vanilla", "IEMF − vanilla"), ("joint", "IEMF − joint")):
        if other in others:
            note += paired(
                label, [difference(cells, network, method, other) for network in networks for method in methods]
            )
    if {"vanilla", "joint"} <= set(variants):
        gains = [difference(cells, n, m, "vanilla", "joint") for n in networks for m in methods]
        note += paired("Joint − vanilla", gains)
    if unfinished:
        note += f" {unfinished} run(s) of the grid are not finished and not counted."
    return "\n".join([table_lines(header, rows), "", note])


def seeds_in_words(seeds: Sequence[int], counts: Sequence[int]) -> str:
    """What the numbers are a mean of, and whether there is a spread."""
    if max(counts) == 1:
        return f"one seed a cell ({', '.join(map(str, seeds))}): no spread, so no conclusions"
    number = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    listed = ", ".join(map(str, seeds))
    return f"mean ± standard deviation over {number} seeds ({listed}); differences are paired by seed"


def schedule(config: RunConfig) -> str:
    """Optimiser and learning rate in words."""
    momentum = f", momentum {config.momentum:g}" if config.momentum else ""
    falls = config.lr_drop is not None and 0 <= config.lr_drop < config.epochs
    drop = f", a tenth of it from epoch {config.lr_drop + 1}" if falls else ""
    return f"{config.optimizer} with lr {config.lr:g}{drop}{momentum}, recipe {config.recipe}"


def table_lines(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns, readable on a terminal too."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def as_csv(finished: Sequence[tuple[RunConfig, RunFolder]]) -> str:
    """One line a run."""
    file = io.StringIO()
    columns = ["test_accuracy", "test_accuracy_audio", "test_accuracy_visual", "val_accuracy", "best_epoch"]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["network", "method", "variant", "seed", *columns, "firing_rate"])
    for config, folder in finished:
        results = folder.results()
        values = [f"{results[c]:.2f}" if isinstance(results[c], float) else results[c] for c in columns]
        rate = f"{results['firing_rate']:.4f}" if "firing_rate" in results else ""
        writer.writerow([config.network, config.method, config.variant, config.seed, *values, rate])
    return file.getvalue()


def epochs_as_csv(finished: Sequence[tuple[RunConfig, RunFolder]]) -> str:
    """One line a run and epoch (from 0): what the curves are drawn from."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = ["val_accuracy_audio", "val_accuracy_visual", "val_accuracy_fused", "xi"]
    writer.writerow(["network", "method", "variant", "seed", "epoch", *columns])
    for config, folder in finished:
        for epoch, record in enumerate(folder.metrics()):
            values = ["" if record.get(c) is None else f"{record[c]:.4g}" for c in columns]
            writer.writerow([config.network, config.method, config.variant, config.seed, epoch, *values])
    return file.getvalue()


def draw(
    finished: Sequence[tuple[RunConfig, RunFolder]], cells: dict[Cell, dict[int, dict]], out: Path, example: RunConfig
) -> None:
    """accuracy.png; xi_over_epochs.png and firing_rates.png where there are IEMF and spiking runs."""
    seeds = max(len(by_seed) for by_seed in cells.values())
    title = f"{example.dataset}, {example.epochs} epochs, n = {seeds} seed(s)" + (
        ", ± 1 deviation" if seeds > 1 else ""
    )
    accuracies = {cell: [r["test_accuracy"] for r in by_seed.values()] for cell, by_seed in cells.items()}
    plots.accuracies(accuracies, out / "accuracy.png", title)
    histories: dict[tuple[str, str], dict[str, list[list[dict]]]] = {}
    for config, folder in finished:
        variants = histories.setdefault((config.network, config.method), {})
        variants.setdefault(config.variant, []).append(folder.metrics())
    histories = {key: variants for key, variants in histories.items() if "iemf" in variants}
    if histories and example.epochs > 1:
        plots.coefficient_over_epochs(histories, out / "xi_over_epochs.png")
    layers = [layer for _, folder in finished for layer in (folder.results() or {}).get("firing_rate_layers", [])]
    if layers:
        spiking = sum(config.network == "snn" for config, _ in finished)
        plots.firing_rates(layers, out / "firing_rates.png", f"Firing rates on the test split, mean of {spiking} runs")
