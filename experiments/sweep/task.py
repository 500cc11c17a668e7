"""What a task tells the sweep of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator

from experiments.sweep.options import Run
from experiments.sweep.runs import results_of
from iemf.training.step import Step

Done = Sequence[tuple[Run, dict]]  # finished runs, and their results


class Trial(NamedTuple):
    """A training step to time, a batch on the device, and how many samples it holds."""

    step: Step
    batch: Any
    samples: int


class Size(NamedTuple):
    """A run's training samples, those that are only evaluated counted by what they cost, and how to time it."""

    samples: float
    trial: Callable[[Accelerator], Trial]
    like: tuple  # runs that are alike in this take as long a sample
    labels: tuple[str, str]  # method and variant, as tables call them
    paper: str  # its number, or a dash


def _nothing(runs: Sequence[Run]) -> None:
    """The default of a task that needs no preparation."""


def _alone(run: Run) -> None:
    """The default of a task whose runs need no other."""


def _none_follow(runs: Sequence[Run]) -> list[Run]:
    """The default of a task whose runs' options are all known before."""
    return []


@dataclass(frozen=True)
class SweepTask:
    """A task; every function can be imported by a fresh process."""

    train: Callable[[Run], dict]
    size: Callable[[Run], Size]  # what a run would train, for the estimate
    write: Callable[[Done, Path, int], str]  # (finished runs, folder, number of unfinished) -> the table
    prepare: Callable[[Sequence[Run]], None] = _nothing  # makes or checks data before hours of training
    mark: Callable[[list[Run]], list[Run]] = list  # with the digest of the data that they are trained on
    before: Callable[[Run], Run | None] = _alone  # a run that must have finished first
    finished: Callable[[Run], bool] = lambda run: results_of(run) is not None
    epoch_cost: Callable[[Run], float] = lambda run: run.time_steps or 1  # of an epoch, relative to others
    epochs: Callable[[Run], int] = lambda run: run.epochs
    cell: Callable[[Run], tuple] = lambda run: run.cell  # a row of the plan; its first part is the network
    then: Callable[[Sequence[Run]], list[Run]] = _none_follow  # runs whose options come from the results of these
