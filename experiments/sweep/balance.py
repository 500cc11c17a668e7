"""Balancing methods where they are not what a task compares: its runs have their own beside the method or model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.sweep.options import ReadBy, RunBase, SweepOptions, Variant
from experiments.sweep.report import Done
from iemf.balance import METHODS

BalanceName = Literal[tuple(METHODS)]
PLAIN = "concat"
OF_METHODS = ("balance_scale", "method_epochs", "method_constant")


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


def of_methods(option: str) -> list[ReadBy]:
    """The options of methods with factors, with a schedule, with a constant; ``option``: what names a run's."""

    def of(name: str, has: str) -> ReadBy:
        reading = ", ".join(name for name, method in METHODS.items() if getattr(method, has))
        return ReadBy(
            (name,), lambda run: getattr(METHODS[getattr(run, option) or PLAIN], has), f"`{option}` {reading}"
        )

    return [of("balance_scale", "has_factors"), of("method_epochs", "has_schedule"), of("method_constant", "constant")]


def that_differ(variants: Sequence[Variant], name: str | None) -> list[Variant]:
    """Of a sweep's variants those that a balancing method has: vanilla runs of one that is a rule for the heads' losses
    are its runs with joint learning once more, and left out where there are these."""
    again = "joint" in variants and METHODS[name or PLAIN].needs_heads
    return [variant for variant in variants if not (again and variant == "vanilla")]


def stretched(done: Done, option: str) -> str:
    """Which methods' schedules in epochs were stretched over the runs, in words; ``option``: what names a run's."""
    runs = [run for run, _ in done if run.method_epochs not in (None, run.epochs)]
    names = dict.fromkeys(METHODS[getattr(run, option)].label for run in runs)
    return f" Schedules of {', '.join(names)}: those of {runs[0].method_epochs} epochs, stretched." if runs else ""


def stored_names(names: Iterable[str]) -> list[str | None]:
    """As runs have them: plain ones do not say so, and are the same runs as those of before there was a choice."""
    return [None if name == PLAIN else name for name in names]


def balanced_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of methods or models, alone and with each balancing method."""
    pairs = ((f"{name}+{each.name}", f"{label}, {each.label}") for name, label in labels.items()
             for each in METHODS.values())  # fmt: skip
    return {**labels, **dict(pairs)}
