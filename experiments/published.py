"""The top-1 accuracies that He et al. 2025 publish in Tables S2 (ANN) and S3 (SNN)."""

import csv
import functools
from pathlib import Path

TABLE = Path(__file__).with_name("paper") / "table_s2_s3_classification.csv"
TABLES = {"ann": "Table S2 (ANN)", "snn": "Table S3 (SNN)"}
Cell = tuple[str, str, str]  # network, method, variant


@functools.cache
def accuracies(dataset: str) -> dict[Cell, float]:
    """Percent of each network, method and variant (vanilla or iemf); {} if the paper does not have the data set."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {
        (row["network"], row["method"], variant): float(row[variant])
        for row in csv.DictReader(lines)
        if row["dataset"] == dataset
        for variant in ("vanilla", "iemf")
    }


def sentence(dataset: str, cell: Cell) -> str | None:
    """What the paper has for a run, as its config says it first; None for data sets that it does not have."""
    numbers = accuracies(dataset)
    if not numbers:
        return None
    where = f"He et al. 2025, {TABLES[cell[0]]}"
    return f"{where}: {numbers[cell]:.2f} % top-1" if cell in numbers else f"{where} has no joint learning alone"
