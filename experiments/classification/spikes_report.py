"""From records of spiking and artificial runs to the table, CSV, JSON and picture over T."""

from collections.abc import Sequence
from pathlib import Path

from experiments.classification.options import RunConfig
from experiments.classification.report import LABELS, schedule
from experiments.sweep.report import settings
from experiments.sweep.statistics import plus_minus
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis.spikes_plot import over_time_steps
from iemf.analysis.style import VARIANT_LABELS
from iemf.files import write_atomically, write_json

COLUMNS = ("network", "method", "variant", "seed", "time_steps", "test_accuracy", "firing_rate", "snn_microjoule",
           "ann_microjoule")  # fmt: skip


def markdown(rows: Sequence[dict], example: RunConfig, unfinished: int) -> str:
    """One row a method, variant and T, the ANN first."""
    cells: dict[tuple, list[dict]] = {}
    for row in rows:
        cells.setdefault((row["method"], row["variant"], row["time_steps"] or 0), []).append(row)
    lines = []
    for method in dict.fromkeys(cell[0] for cell in cells):
        for variant in (v for v in VARIANT_LABELS if any(cell[:2] == (method, v) for cell in cells)):
            steps = sorted(cell[2] for cell in cells if cell[:2] == (method, variant))
            energy = [row["ann_microjoule"] for t in steps if t for row in cells[method, variant, t]]
            for t in steps:
                of = cells[method, variant, t]
                line = [LABELS[method], VARIANT_LABELS[variant], f"SNN, T = {t}" if t else "ANN", str(len(of))]
                line.append(plus_minus([row["test_accuracy"] for row in of]))
                if t:
                    line += [plus_minus([100 * row["firing_rate"] for row in of]),
                             plus_minus([row["snn_microjoule"] for row in of]),
                             plus_minus([row["ratio"] for row in of])]  # fmt: skip
                else:
                    line += ["–", plus_minus(energy[:1]), "1"]
                lines.append(line)
    header = ["method", "variant", "network", "runs", "test accuracy / %", "firing rate / %", "energy / µJ",
              "energy / the ANN's"]  # fmt: skip
    note = f"Mean ± deviation over seeds. {example.dataset}, ResNet-18 of width {example.width}, stem {example.stem}, "
    note += f"{schedule(example)}; the epoch is chosen on validation. Energy a sample: an estimate of arithmetic alone "
    note += "(4.6 pJ a multiply-accumulate, 0.9 pJ an accumulate, 45 nm)."
    note += f" {unfinished} run(s) are not finished and not counted." if unfinished else ""
    return "\n".join([table_lines(header, lines), "", note])


def as_csv(rows: Sequence[dict]) -> str:
    """One line a run."""
    return csv_text(list(COLUMNS), [["" if (v := row.get(name)) is None else v for name in COLUMNS] for row in rows])


def write(rows: Sequence[dict], configs: Sequence[RunConfig], unfinished: int, out: Path) -> str:
    """Write the four files into ``out`` and return the table as Markdown."""
    example = configs[0]
    table = markdown(rows, example, unfinished)
    write_atomically(out / "table.md", f"{table}\n")
    write_json(out / "spikes.json", {"settings": settings([(config, {}) for config in configs]), "runs": list(rows)})
    write_atomically(out / "spikes.csv", as_csv(rows))
    title = f"{example.dataset}, {example.epochs} epochs, n = {len({c.seed for c in configs})} seed(s), ± 1 deviation"
    over_time_steps(rows, LABELS, out / "spikes.png", title)
    return table
