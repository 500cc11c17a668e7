"""What a network answers that has learnt nothing: the most frequent class."""

from collections.abc import Iterable

import torch

NARROW, WIDE = 0.5, 10.0  # of chance; percentage points


def share_of_most_frequent(labels: Iterable[int]) -> float:
    """In percent: the accuracy of naming that class always.

    >>> share_of_most_frequent([0, 1, 1, 2])
    50.0
    """
    counts = torch.bincount(torch.as_tensor(labels))
    return 100 * counts.max().item() / counts.sum().item()


def is_near_chance(accuracy: float, chance: float) -> bool:
    """Whether a training accuracy is below 1.5 times chance and less than ten points above it, both in percent.

    >>> is_near_chance(14.0, 10.0), is_near_chance(16.0, 10.0), is_near_chance(58.0, 50.0), is_near_chance(61.0, 50.0)
    (True, False, True, False)
    """
    return accuracy < chance + min(NARROW * chance, WIDE)
