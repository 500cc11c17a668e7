"""From costs to the table, CSV, JSON and picture."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments.classification.options import RunConfig
from experiments.classification.report import LABELS
from experiments.sweep import published
from experiments.sweep.report import settings
from experiments.sweep.statistics import paired, plus_minus, seeds_in_words
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis.cost_plot import reductions
from iemf.analysis.style import SHORT_VARIANT_LABELS, VARIANT_LABELS
from iemf.files import write_atomically, write_json

REDUCTIONS = {"IEMF against vanilla": ("iemf", "vanilla"), "IEMF against joint": ("iemf", "joint"),
              "joint against vanilla": ("joint", "vanilla")}  # fmt: skip


KINDS = {"flops": "FLOPs", "synaptic": "synaptic operations"}


def reduction_of(rows: Sequence[dict], kind: str = "flops") -> dict[tuple[str, str, str], list[float]]:
    """{(method, network, comparison): percent of operations saved, one a seed}."""
    flops = {tuple(row[name] for name in ("method", "network", "variant", "seed")): row[kind]
             for row in rows if kind in row}  # fmt: skip
    found: dict[tuple[str, str, str], list[float]] = {}
    for name, (less, more) in REDUCTIONS.items():
        for (method, network, variant, seed), value in flops.items():
            base = flops.get((method, network, more, seed))
            if variant == less and base is not None:
                found.setdefault((method, network, name), []).append(100 * (1 - value / base))
    return found


def markdown(rows: Sequence[dict], configs: Sequence[RunConfig], unfinished: int) -> str:
    """One row a method and network: epochs to the errors by variant, and what is saved."""
    by_kind, paper = {kind: reduction_of(rows, kind) for kind in KINDS}, published.cost_reductions()
    found = by_kind["flops"]
    variants = [v for v in VARIANT_LABELS if any(row["variant"] == v for row in rows)]
    names = [name for name in REDUCTIONS if any(key[2] == name for key in found)]
    lines = []
    for method, network, kind in dict.fromkeys((r["method"], r["network"], kind) for r in rows for kind in KINDS):
        of = [row for row in rows if (row["method"], row["network"]) == (method, network) and kind in row]
        if not of:
            continue
        an_epoch = statistics.fmean(row[f"{kind}_per_epoch"] for row in of)
        line = [LABELS[method], network.upper(), KINDS[kind], f"{an_epoch / 1e9:.0f}"]
        line += [plus_minus([row["epochs"] for row in of if row["variant"] == v]) for v in variants]
        line += [plus_minus(by_kind[kind].get((method, network, name), []), signed=True) for name in names]
        told = network == "ann" and method in paper  # FLOPs
        lines.append([*line, f"{paper[method]:+.1f}" if told else "–"])
    header = ["method", "network", "counted", "10⁹ an epoch", *(f"epochs, {SHORT_VARIANT_LABELS[v]}" for v in variants)]
    header += [f"saved, {name} / %" for name in names] + ["paper, IEMF against vanilla / %"]
    cells: dict[tuple, dict] = {}
    for config in configs:
        cells.setdefault(config.cell, {})[config.seed] = config
    note = f"Epochs until the validation error is at or below 5 thresholds, their mean; {seeds_in_words(cells)}. "
    note += "Saved: operations of training to these errors, below zero: more; FLOPs forward and backward (dense, every "
    note += "time step), synaptic operations forward. "
    note += f"{configs[0].dataset}, at most {configs[0].epochs} epochs. The paper's numbers are of Kinetics-Sounds."
    for name in names:
        note += paired(f"saved, {name}", [values for key, values in found.items() if key[2] == name])
    note += f" {unfinished} run(s) are not finished and not counted." if unfinished else ""
    return "\n".join([table_lines(header, lines), "", note])


COLUMNS = (
    "network",
    "method",
    "variant",
    "seed",
    "epochs",
    *(f"{k}{more}" for k in KINDS for more in ("_per_epoch", "")),
)


def as_csv(rows: Sequence[dict]) -> str:
    """One line a run."""
    return csv_text(list(COLUMNS), [[row.get(name, "") for name in COLUMNS] for row in rows])


def write(rows: Sequence[dict], configs: Sequence[RunConfig], unfinished: int, out: Path) -> str:
    """Write the four files into ``out`` and return the table as Markdown."""
    table = markdown(rows, configs, unfinished)
    write_atomically(out / "table.md", f"{table}\n")
    write_json(out / "cost.json", {"settings": settings([(config, {}) for config in configs]), "runs": list(rows)})
    write_atomically(out / "cost.csv", as_csv(rows))
    seeds = len({config.seed for config in configs})
    title = f"{configs[0].dataset}, {configs[0].epochs} epochs, n = {seeds} seed(s): mean, ± 1 deviation, every seed"
    reductions(reduction_of(rows), LABELS, published.cost_reductions(), out / "cost.png", title)
    return table
