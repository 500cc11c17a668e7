"""What a search draws from: the same trials for every cell of a comparison, so that none is better searched."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from experiments.sweep.options import shown
from iemf.errors import UserError

SEARCHED = ("lr", "weight_decay", "gamma", "method_constant")  # of a run; each its own dimension, searched or not
DIGITS = 3  # of a drawn value
Range = tuple[float, float]


@dataclass(frozen=True)
class Space:
    """Ranges (low, high), 0 < low < high, drawn from evenly in the logarithm; None: not searched.

    Raises:
        UserError: a range that is none, or nothing to search.
    """

    lr: Range | None = None
    weight_decay: Range | None = None
    gamma: Range | None = None
    method_constant: Range | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges().items():
            if not 0 < low < high < float("inf"):
                raise UserError(f"`{name}_range` {shown((low, high))} must be two numbers above 0, the lower one first")
        if not self.ranges():
            raise UserError("`lr_range` and the other ranges are empty: there is nothing to search")

    def ranges(self) -> dict[str, Range]:
        """Those that are searched, by option."""
        return {name: value for name in SEARCHED if (value := getattr(self, name)) is not None}

    def draws(self, trials: int, seed: int) -> list[dict[str, float]]:
        """Options of each trial but the first, which is the default.

        The points are Halton's, scrambled: few of them cover a range more evenly than random ones do (Bousquet et al.
        2017). A search that learns from its trials would propose other values to every cell; these are the same for
        all, and can be run in any order and all at once.

            >>> Space(lr=(0.01, 0.1)).draws(3, seed=0)
            [{'lr': 0.0194}, {'lr': 0.0752}]
        """
        points = qmc.Halton(len(SEARCHED), scramble=True, seed=seed).random(max(0, trials - 1))
        ranges = self.ranges()
        return [{name: drawn(share, *ranges[name]) for name, share in zip(SEARCHED, point, strict=True)
                 if name in ranges} for point in points]  # fmt: skip


def drawn(share: float, low: float, high: float) -> float:
    """The value at ``share``, 0 to 1, of the way from low to high in the logarithm, rounded."""
    return float(f"{np.exp(np.log(low) + share * (np.log(high) - np.log(low))):.{DIGITS}g}")


def around(value: float, factor: float) -> Range:
    """From ``value`` over ``factor`` to ``value`` times it."""
    return float(f"{value / factor:.{DIGITS}g}"), float(f"{value * factor:.{DIGITS}g}")


def in_words(ranges: dict[str, Sequence[float]]) -> str:
    """ "lr 0.0125 to 0.2, gamma 0.5 to 5"."""
    return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in ranges.items())
