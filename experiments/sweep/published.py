"""What He et al. 2025 publish: Tables S2 (ANN), S3 (SNN), S4 (class-incremental learning) and S5 (AVQA), and Fig. 2.

Joint learning alone has published values too: on Kinetics-Sounds as ANN (Fig. 2 c2), and of ST-AVQA in the readme of
the released code.
"""

import csv
import functools
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent.parent / "paper"
TABLE = FOLDER / "table_s2_s3_classification.csv"
TABLE_S4 = FOLDER / "table_s4_continual.csv"
TABLE_S5 = FOLDER / "table_s5_avqa.csv"
FIGURE_2 = FOLDER / "figure_2_ablation.csv"
FIGURE_2_DATASET = "kinetics-sounds"
RELEASED_AVQA = {("st-avqa", "joint"): 70.71}  # overall, %
VARIANTS = {"no": "vanilla", "yes": "iemf"}
TABLES = {"ann": "Table S2 (ANN)", "snn": "Table S3 (SNN)"}
Cell = tuple[str, str, str]  # network, method, variant


def _rows(path: Path) -> list[dict[str, str]]:
    """Of a .csv file that begins with comments."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


@functools.cache
def accuracies(dataset: str) -> dict[Cell, float]:
    """Percent of each network, method and variant; {} if the paper does not have the data set."""
    joint = {("ann", row["setting"], "joint"): float(row["value"])
             for row in _rows(FIGURE_2) if row["item"] == "joint_only" and dataset == FIGURE_2_DATASET}  # fmt: skip
    return joint | {
        (row["network"], row["method"], variant): float(row[variant])
        for row in _rows(TABLE)
        if row["dataset"] == dataset
        for variant in ("vanilla", "iemf")
    }


@functools.cache
def gamma_sweep(network: str, method: str) -> dict[float, float]:
    """Percent over γ on Kinetics-Sounds (Fig. 2 c1); γ = 1 is of Tables S2 and S3, the others of OGM-GE as ANN."""
    tables = accuracies(FIGURE_2_DATASET)
    found = {1.0: tables[cell]} if (cell := (network, method, "iemf")) in tables else {}
    if (network, method) == ("ann", "ogm-ge"):
        found |= {float(row["setting"]): float(row["value"])
                  for row in _rows(FIGURE_2) if row["item"] == "gamma" and row["setting"] != "vanilla"}  # fmt: skip
    return dict(sorted(found.items()))


@functools.cache
def cost_reductions() -> dict[str, float]:
    """Percent that IEMF saves of each method's training cost on Kinetics-Sounds as ANN (Fig. 2 g)."""
    return {row["setting"]: float(row["value"]) for row in _rows(FIGURE_2) if row["item"] == "cost_reduction_percent"}


def sentence(dataset: str, cell: Cell) -> str | None:
    """What the paper has for a run, as its config says it first; None for data sets that it does not have."""
    numbers = accuracies(dataset)
    if not numbers:
        return None
    where = f"He et al. 2025, {'Fig. 2 c2' if cell[2] == 'joint' and cell in numbers else TABLES[cell[0]]}"
    return f"{where}: {numbers[cell]:.2f} % top-1" if cell in numbers else f"{where} has no joint learning alone"


class Continual(NamedTuple):
    """AIA and AFR in percent."""

    accuracy: float
    forgetting: float


@functools.cache
def continual(dataset: str) -> dict[tuple[str, str], Continual]:
    """Table S4, {(method, variant): percent} with variant vanilla or iemf; {} if it does not have the data set."""
    return {
        (row["method"], VARIANTS[row["iemf"]]): Continual(float(row["mean_accuracy"]), float(row["average_forgetting"]))
        for row in _rows(TABLE_S4)
        if row["dataset"] == dataset
    }


def continual_sentence(dataset: str, method: str, variant: str) -> str | None:
    """What Table S4 has for a class-incremental run; None for data sets that it does not have."""
    numbers = continual(dataset)
    if not numbers:
        return None
    cell = numbers.get((method, variant))
    if cell is None:
        return f"He et al. 2025, Table S4 has no {method} {variant}"
    return f"He et al. 2025, Table S4: AIA {cell.accuracy:.2f} %, AFR {cell.forgetting:.2f} %"


@functools.cache
def avqa() -> dict[tuple[str, str], dict[str, float]]:
    """Table S5, {(model, variant): {column: percent}} with variant vanilla or iemf."""
    return {
        (row["method"], VARIANTS[row["iemf"]]): {
            column: float(value) for column, value in row.items() if column not in ("method", "iemf")
        }
        for row in _rows(TABLE_S5)
    }


def avqa_overall(model: str, variant: str) -> float | None:
    """Percent of all questions: of Table S5, of joint learning alone of the readme; None if neither has it."""
    numbers = avqa().get((model, variant))
    return numbers["overall"] if numbers else RELEASED_AVQA.get((model, variant))


def avqa_sentence(model: str, variant: str) -> str:
    """What Table S5 has for a run on MUSIC-AVQA."""
    numbers = avqa().get((model, variant))
    where = "He et al. 2025, Table S5"
    if (model, variant) in RELEASED_AVQA:
        return f"readme of the released code: {RELEASED_AVQA[model, variant]:.2f} % overall"
    return f"{where}: {numbers['overall']:.2f} % overall" if numbers else f"{where} has no joint learning alone"
