"""How well a model that learns task after task knows them all, and how much it forgets.

a[k][j] is the test accuracy on task j after training on task k, j <= k; all in percent.
"""

from collections.abc import Sequence
from statistics import fmean

Matrix = Sequence[Sequence[float]]


def average_accuracies(accuracies: Matrix) -> list[float]:
    """AA_k = mean over j <= k of a_kj, for every task k."""
    check(accuracies)
    return [fmean(row) for row in accuracies]


def average_incremental_accuracy(accuracies: Matrix) -> float:
    """AIA = mean over k of AA_k."""
    return fmean(average_accuracies(accuracies))


def forgetting(accuracies: Matrix) -> list[float]:
    """F_k = mean over j < k of (max over l < k of a_lj, where it exists) - a_kj, for every task but the first."""
    check(accuracies)
    return [
        fmean(max(accuracies[earlier][j] for earlier in range(j, k)) - accuracies[k][j] for j in range(k))
        for k in range(1, len(accuracies))
    ]


def average_forgetting_rate(accuracies: Matrix) -> float | None:
    """AFR = mean over k >= 2 of F_k; None while there is one task."""
    values = forgetting(accuracies)
    return fmean(values) if values else None


def check(accuracies: Matrix) -> None:
    """Raise ValueError unless row k holds k + 1 accuracies, k = 0, 1, ..."""
    if not accuracies or any(len(row) != number for number, row in enumerate(accuracies, start=1)):
        raise ValueError(f"row k of the accuracies must hold k + 1 numbers, got rows of {[len(r) for r in accuracies]}")
