"""From the finished runs of an ablation to the table, CSV, JSON and picture."""

from collections.abc import Sequence
from pathlib import Path

from experiments.classification.ablation_settings import cell_of, published_of, rank, reference, setting_of
from experiments.classification.report import LABELS, late, schedule
from experiments.sweep import published
from experiments.sweep.balance import stretched
from experiments.sweep.options import OF_IEMF
from experiments.sweep.report import Cells, Done, settings, summarise, values
from experiments.sweep.statistics import detectable, difference, holm, p_value, plus_minus, seeds_in_words
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis.ablation_plot import settings_of_xi
from iemf.analysis.style import NETWORK_LABELS
from iemf.files import write_atomically, write_json

ACCURACY = "test_accuracy"
FIELDS = ("network", "method", "group", "setting")
BASES = ("joint", "vanilla")  # what a setting is compared with
OPTIONS = ("recipe", "optimizer", "gamma", "gate", "scale", "modulate_from", "modulate_to")
COLUMNS = (*FIELDS, "variant", "seed", ACCURACY, "val_accuracy", "best_epoch", "mean_xi", "fixed_xi", *OPTIONS)


def records(done: Done) -> list[dict]:
    """One a run, in the order of the table: its setting, the options behind it, and what came out; ``mean_xi`` is what
    was applied."""
    return [
        dict(zip(FIELDS, cell_of(run), strict=True))
        | {"variant": run.variant, "seed": run.seed}
        | {name: results[name] for name in (ACCURACY, "val_accuracy", "best_epoch")}
        | {"mean_xi": results["xi"], "fixed_xi": None if run.xi == "shuffled" else run.xi}
        | {name: getattr(run, name) for name in OPTIONS}
        for run, results in sorted(done, key=lambda pair: rank(setting_of(pair[0])))
    ]


def cells_of(rows: Sequence[dict]) -> Cells:
    """{(network, method, group, setting): {seed: record}}."""
    cells: Cells = {}
    for row in rows:
        cells.setdefault(tuple(row[name] for name in FIELDS), {})[row["seed"]] = row
    return cells


def comparisons(cells: Cells) -> list[dict]:
    """Of each cell but vanilla, with each base: the differences paired by seed; with two seeds or more the p-value of
    their t-test, that after Holm's correction over all tests against this base in the network's column, and the
    smallest mean difference that this n would find in 80 of 100 cases."""
    accuracy, found = values(cells, ACCURACY), []
    for cell, by_seed in accuracy.items():
        for base in BASES:
            other = reference(cell, base)
            if cell not in (other, reference(cell, "vanilla")) and (
                pairs := difference(by_seed, accuracy.get(other, {}))
            ):
                record = dict(zip(FIELDS, cell, strict=True)) | {"against": base, "differences": pairs}
                several = len(pairs) > 1
                found.append(record | {"p": p_value(pairs) if several else None, "p_holm": None,
                                       "detectable": detectable(pairs) if several else None})  # fmt: skip
    for network in dict.fromkeys(record["network"] for record in found):
        for base in BASES:
            family = [record for record in found
                      if record["p"] is not None and (record["network"], record["against"]) == (network, base)
                      ]  # fmt: skip
            for record, p in zip(family, holm([record["p"] for record in family]), strict=True):
                record["p_holm"] = p
    return found


def markdown(rows: Sequence[dict], done: Done, unfinished: int) -> str:
    """One row a method and setting; per network its accuracy and what it differs by from joint learning and vanilla."""
    cells = cells_of(rows)
    compared = {(*(record[name] for name in FIELDS), record["against"]): record for record in comparisons(cells)}
    networks = [name for name in NETWORK_LABELS if any(row["network"] == name for row in rows)]
    header, lines = ["method", "setting"], []
    for network in networks:
        name = NETWORK_LABELS[network]
        header.append(f"{name} / %")
        header += [title for base in BASES for title in (f"{name} − {base}", f"p, {name} − {base}")]
    header += [f"paper: {NETWORK_LABELS[network]}" for network in networks]
    for method, group, label in dict.fromkeys(cell[1:] for cell in cells):
        line = [LABELS[method], label]
        for network in networks:
            cell = (network, method, group, label)
            line.append(plus_minus([row[ACCURACY] for row in cells.get(cell, {}).values()]))
            for base in BASES:
                record = compared.get((*cell, base), {"differences": [], "p_holm": None})
                p = record["p_holm"]
                line += [plus_minus(record["differences"], signed=True), "–" if p is None else f"{p:.3f}"]
        told = [published_of((network, method, group, label)) for network in networks]
        lines.append(line + ["–" if value is None else f"{value:.2f}" for value in told])
    return "\n".join([table_lines(header, lines), "", note(rows, done, unfinished)])


def note(rows: Sequence[dict], done: Done, unfinished: int) -> str:
    """What stands below the table."""
    example, cells = done[0][0], cells_of(rows)
    told = f"Test accuracy in %, {seeds_in_words(cells)}. {example.dataset}, ResNet-18 of width {example.width}, stem "
    told += f"{example.stem}, {example.fusion} fusion, {schedule(example)}; the epoch is chosen on validation, test is "
    told += "read once." + stretched(done, "method") + late(cells, example)
    told += " p: paired t-test, two-sided, after Holm's correction over all tests of its column. A setting changes one "
    told += (
        "thing in IEMF with γ = 1, κ = tanh; epochs count from 0; runs of the released recipe are compared with each "
    )
    told += "other."
    xi = {f"{row['network'].upper()} {LABELS[row['method']]} {row['fixed_xi']:g}": None
          for row in rows if row["group"] == "fixed"}  # fmt: skip
    told += f" Fixed ξ, the mean of training with γ = 1: {', '.join(xi)}." if xi else ""
    told += " The paper's numbers are of Kinetics-Sounds."
    return told + (f" {unfinished} run(s) are not finished and not counted." if unfinished else "")


def as_csv(rows: Sequence[dict]) -> str:
    """One line a run."""
    return csv_text(list(COLUMNS), [["" if row[name] is None else row[name] for name in COLUMNS] for row in rows])


def paper_of(rows: Sequence[dict]) -> dict[tuple[str, str], dict]:
    """What the paper has, by network and method: "vanilla" and "joint" in percent or None, "gamma" {γ: percent}."""
    pairs = dict.fromkeys((row["network"], row["method"]) for row in rows)
    return {pair: {base: published_of((*pair, "variant", base)) for base in BASES}
            | {"gamma": published.gamma_sweep(*pair)} for pair in pairs}  # fmt: skip


def write(done: Done, out: Path, unfinished: int) -> str:
    """Write the four files into ``out`` and return the table as Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    rows = records(done)
    cells = cells_of(rows)
    table = markdown(rows, done, unfinished)
    write_atomically(out / "table.md", f"{table}\n")
    shared = {name: value for name, value in settings(done).items() if name not in OF_IEMF}
    write_json(out / "ablation.json", {"settings": shared, "cells": summarise(cells, FIELDS, (ACCURACY, "mean_xi")),
                                       "comparisons": comparisons(cells), "runs": rows})  # fmt: skip
    write_atomically(out / "ablation.csv", as_csv(rows))
    example, seeds = done[0][0], max(map(len, cells.values()))
    spread = ", ± 1 deviation" if seeds > 1 else ""
    title = f"{example.dataset}, {example.epochs} epochs, {example.optimizer}, n = {seeds} seed(s){spread}"
    settings_of_xi(rows, paper_of(rows), LABELS, out / "ablation.png", title)
    return table
