"""The cost of training to given errors (He et al. 2025, Fig. 2 g).

    Cost = (1/L) Σ_l e_l · Ω      e_l: epochs until the error is first at or below Err_l;  Ω: operations an epoch

The L = 5 errors are spaced evenly from the smallest of the compared curves' highest errors down to the largest of their
lowest ones, so that every curve reaches all of them.
"""

from collections.abc import Sequence

import numpy as np

LEVELS = 5


def thresholds(curves: Sequence[Sequence[float]], levels: int = LEVELS) -> list[float]:
    """Err_1 > ... > Err_L for error curves over epochs, in the curves' unit.

    Raises:
        ValueError: curves that share no errors: one ends above where another begins.

    >>> thresholds([[80, 40, 20], [60, 50, 10]], levels=3)
    [60.0, 40.0, 20.0]
    """
    upper, lower = min(map(max, curves)), max(map(min, curves))
    if upper < lower:
        raise ValueError(
            f"no error is common to all curves: one stays at or below {upper:g}, another is above {lower:g}"
        )
    return np.linspace(upper, lower, levels).tolist()


def epochs_to(curve: Sequence[float], error: float) -> int:
    """Epochs, from 1, until ``curve`` is first at or below ``error``.

    Raises:
        ValueError: it never is.

    >>> epochs_to([80, 40, 20], 50)
    2
    """
    for epoch, value in enumerate(curve, start=1):
        if value <= error:
            return epoch
    raise ValueError(f"the curve ends at {min(curve):g} and never reaches {error:g}")


def cost(curve: Sequence[float], errors: Sequence[float], operations: float = 1.0) -> float:
    """Mean over ``errors`` of the epochs to each, times operations an epoch.

    >>> cost([80, 40, 20], [60, 40, 20], operations=10)  # epochs 2, 2, 3
    23.333333333333332
    """
    return operations * sum(epochs_to(curve, error) for error in errors) / len(errors)
