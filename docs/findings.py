"""The one table of findings, over the three tasks, from the results that are kept in experiments/results.

    python docs/findings.py

What joint learning adds to vanilla, and what ξ adds to joint learning: the range of the rows' means, and how many of
the differences paired by seed are above and below zero. README.md holds it between ``<!-- findings -->`` and
``<!-- end -->``.
"""

import json
import re
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
ROWS = (
    ("classification, ANN", "av_digits", "ann", "test_accuracy", "accuracy"),
    ("classification, SNN", "av_digits", "snn", "test_accuracy", "accuracy"),
    ("class after class, ANN", "continual", "ann", "mean_accuracy", "AIA"),
    ("class after class, SNN", "continual", "snn", "mean_accuracy", "AIA"),
    ("questions, ANN", "avqa", "ann", "test_accuracy", "accuracy"),
    ("questions, SNN", "avqa_snn", "snn", "test_accuracy", "accuracy"),
)
PLACE = re.compile(r"<!-- findings -->\n.*?<!-- end -->", re.DOTALL)


def differences(folder: str, network: str, quantity: str, more: str, less: str) -> list[list[float]]:
    """Percentage points, a list a row of the table, one number a seed."""
    content = json.loads((RESULTS / folder / "results.json").read_text(encoding="utf-8"))
    cells = {}
    for cell in content["cells"]:
        if cell["network"] == network and not cell.get("blind"):
            values = dict(zip(cell["seeds"], cell[quantity]["values"], strict=True))
            cells[cell.get("method") or cell["model"], cell["variant"]] = values
    rows = [(cells[name, more], cells[name, less]) for name, variant in cells if variant == more]
    return [[ours[seed] - theirs[seed] for seed in ours] for ours, theirs in rows]


def told(rows: list[list[float]]) -> str:
    """Range of the means; how many of the differences are above and below zero."""
    means, every = [fmean(row) for row in rows], [value for row in rows for value in row]
    span = f"{min(means):+.1f} to {max(means):+.1f}" if len(means) > 1 else f"{means[0]:+.1f}"
    return f"{span} ({sum(v > 0 for v in every)} up, {sum(v < 0 for v in every)} down)"


def table() -> str:
    """Markdown."""
    lines = ["| task, network | rows x seeds | measure | joint − vanilla | IEMF − joint |", "|---|---|---|---|---|"]
    for name, folder, network, quantity, measure in ROWS:
        joint = differences(folder, network, quantity, "joint", "vanilla")
        iemf = differences(folder, network, quantity, "iemf", "joint")
        lines.append(f"| {name} | {len(joint)} x {len(joint[0])} | {measure} | {told(joint)} | {told(iemf)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = PLACE.sub(f"<!-- findings -->\n{table()}\n<!-- end -->", readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")
