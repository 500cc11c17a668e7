"""Means, deviations and paired tests over seeds, and how they are put into words."""

import math
import statistics
from collections.abc import Mapping, Sequence

from scipy.optimize import brentq
from scipy.stats import nct, t, ttest_1samp

LEVEL = 0.05
Cell = tuple  # (network, method or model, variant, ...)
BySeed = Mapping[int, float]
COMPARISONS = (("iemf", "vanilla"), ("iemf", "joint"), ("joint", "vanilla"))  # (more, less)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; the latter None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def summary(values: Sequence[float]) -> dict:
    """For results.json: mean, deviation, and every seed's value."""
    mean, deviation = mean_and_deviation(values)
    return {"mean": mean, "std": deviation, "values": list(values)}


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
    p_values = [p_value(row) for row in tested]
    gains = sum(p < LEVEL and statistics.fmean(row) > 0 for p, row in zip(p_values, tested, strict=True))
    losses = sum(p < LEVEL and statistics.fmean(row) < 0 for p, row in zip(p_values, tested, strict=True))
    return (
        f" {name}: {sum(v > 0 for v in every)} of {len(every)} paired differences are positive, "
        f"{sum(v < 0 for v in every)} negative; of {len(tested)} rows {gains} gain and {losses} lose by a paired "
        f"t-test at 5 %, uncorrected."
    )


def difference(more: BySeed, less: BySeed) -> list[float]:
    """Seed by seed, where both are there."""
    return [more[seed] - less[seed] for seed in sorted(more.keys() & less.keys())]


def other(cell: Cell, variant: str) -> Cell:
    """The cell that differs from this one in its variant."""
    return (*cell[:2], variant, *cell[3:])


def seeds_in_words(cells: Mapping[Cell, Mapping[int, object]]) -> str:
    """What the numbers are a mean of, and whether there is a spread."""
    seeds = sorted({seed for by_seed in cells.values() for seed in by_seed})
    counts = [len(by_seed) for by_seed in cells.values()]
    listed = ", ".join(map(str, seeds))
    if max(counts) == 1:
        return f"one seed a cell ({listed}): no spread, so no conclusions"
    number = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"mean ± standard deviation over {number} seeds ({listed}); differences are paired by seed"


def comparisons_in_words(values: Mapping[Cell, BySeed], labels: Mapping[str, str], what: str = "") -> str:
    """:func:`paired` of IEMF and joint learning, over all rows of a table.

    Args:
        values: {cell: {seed: number}}.
        labels: of the variants, short.
        what: the measure, where a table has several.
    """
    told = ""
    for more, less in COMPARISONS:
        rows = [difference(by_seed, values[other(cell, less)]) for cell, by_seed in values.items()
                if cell[2] == more and other(cell, less) in values]  # fmt: skip
        told += paired(f"{what}{labels[more]} − {labels[less]}", rows)
    return told


def p_value(values: Sequence[float]) -> float:
    """Two-sided, of a t-test of paired differences against 0; of equal ones 1 if they are 0, else 0."""
    if len(set(values)) == 1:
        return 1.0 if values[0] == 0 else 0.0
    return float(ttest_1samp(values, 0).pvalue)


def detectable(values: Sequence[float], power: float = 0.8) -> float:
    """The smallest mean difference that a paired t-test at 5 % would find with probability ``power``, given this many
    differences and their deviation; in their unit.

    Raises:
        ValueError: fewer than two differences.
    """
    n = len(values)
    if n < 2:
        raise ValueError("the deviation of one difference is not known")
    critical = t.ppf(1 - LEVEL / 2, n - 1)

    def missing(noncentrality: float) -> float:
        found = float(nct.sf(critical, n - 1, noncentrality))  # the other tail is below a thousandth there
        return (1.0 if math.isnan(found) else found) - power  # far beyond, SciPy gives NaN

    return brentq(missing, 0, 100) * statistics.stdev(values) / n**0.5


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) for as many tests as there are values, in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
