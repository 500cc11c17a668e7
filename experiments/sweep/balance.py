"""Balancing methods where they are not what a task compares: its runs have their own beside the method or model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.sweep.options import ReadBy, RunBase, SweepOptions
from iemf.balance import METHODS

BalanceName = Literal[tuple(METHODS)]
PLAIN = "concat"


@dataclass(frozen=True)
class BalancedRun(RunBase):
    """A run of such a task."""

    balance: BalanceName | None = None
    """Of the modalities; None: concat, the task's own loss and nothing more."""

    def balanced(self, name: str) -> str:
        """A method's or model's name in cells and folders, with the balancing method where there is one."""
        return name if self.balance is None else f"{name}+{self.balance}"


@dataclass(frozen=True)
class BalancedSweep(SweepOptions):
    """A sweep over such runs."""

    balance: tuple[BalanceName, ...] = (PLAIN,)
    """Of the modalities; concat: the task's own loss and nothing more."""


def of_factors(option: str) -> ReadBy:
    """The option of the methods that multiply by factors; ``option``: what names a run's method, None: concat."""
    reading = " and ".join(name for name, method in METHODS.items() if method.has_factors)
    return ReadBy(
        ("balance_scale",), lambda run: METHODS[getattr(run, option) or PLAIN].has_factors, f"`{option}` {reading}"
    )


def stored_names(names: Iterable[str]) -> list[str | None]:
    """As runs have them: plain ones do not say so, and are the same runs as those of before there was a choice."""
    return [None if name == PLAIN else name for name in names]


def balanced_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of methods or models, alone and with each balancing method."""
    pairs = ((f"{name}+{each.name}", f"{label}, {each.label}") for name, label in labels.items()
             for each in METHODS.values())  # fmt: skip
    return {**labels, **dict(pairs)}
