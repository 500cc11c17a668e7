"""The learning rate over a training, as a factor of the rate that the optimiser was given; and when a training is over.

    constant   1
    step       a tenth from each of some epochs on
    cosine     (1 + cos(π·p)) / 2, p the share of the steps behind the warm-up that are done
    plateau    a tenth, and a tenth of that, after ``patience`` epochs without a better validation; the end after as
               many more

A warm-up of w steps comes before each: (s + 1) / w at step s (from 0).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["constant", "step", "cosine", "plateau"]
FALLS = 2  # of a plateau's rate, before the training is over


class Schedule(NamedTuple):
    """A kind, and what it needs.

    Args:
        kind: see above.
        warmup: steps, 0 or more.
        drops: step: the epochs (from 0) from which on the rate is a tenth of what it was.
        patience: plateau: epochs without a better rank, 1 or more.
    """

    kind: Kind = "constant"
    warmup: int = 0
    drops: tuple[int, ...] = ()
    patience: int = 5

    def factor(self, step: int, steps_per_epoch: int, epochs: int, falls: int = 0) -> float:
        """Of the rate at a step (from 0) of a training of ``epochs``; ``falls``: those of a plateau so far."""
        rising = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.kind == "step":
            return rising * 0.1 ** sum(drop <= step // steps_per_epoch for drop in self.drops)
        if self.kind == "cosine":
            left = max(1, steps_per_epoch * epochs - self.warmup)
            return rising * (1 + math.cos(math.pi * min(1.0, max(0, step - self.warmup) / left))) / 2
        return rising * 0.1**falls

    def falls(self, ranks: Sequence[Sequence[float]]) -> int:
        """How often a plateau's rate has fallen after epochs of these validation ranks; above FALLS, training is over.

        An epoch is better if its rank is above that of every one before it. After a fall the count begins anew.
        """
        if self.kind != "plateau":
            return 0
        falls, waited, best = 0, 0, None
        for rank in ranks:
            if best is None or tuple(rank) > best:
                best, waited = tuple(rank), 0
            else:
                waited += 1
            if waited == self.patience:
                falls, waited = falls + 1, 0
        return falls

    def is_over(self, ranks: Sequence[Sequence[float]]) -> bool:
        """Whether a plateau has waited after its last fall too; the other kinds end with their epochs."""
        return self.falls(ranks) > FALLS


CONSTANT = Schedule()
