"""How many threads a run computes with on a CPU, and how many runs there are at a time: one rule for every task.

A run is small if a training step has fewer than SMALL floating-point operations, forward and backward, which are
counted in a step before it begins. Small runs get one thread each, and as many run at a time as there are cores. Larger
ones share the cores, four at most at a time, as each needs memory. OMP_NUM_THREADS and --jobs win over both.

Threads wait for one another behind every operation. Where another program has one of the cores, that is a time slice
of milliseconds, hundreds of times a step: on two cores with other work on them, two threads took 6 to 25 times as long
as one for steps of 0.1 to 53 GFLOP (class-incremental learning; AV-Digits of width 16 to 64, batch 32).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch.utils.flop_counter import FlopCounterMode

from experiments.sweep.accelerator import accelerated
from experiments.sweep.options import Run
from experiments.sweep.task import SweepTask, Trial
from iemf.pool import available_cores, threads_asked

SMALL = 100e9  # floating-point operations of a step
LARGE_AT_A_TIME = 4


class Share(NamedTuple):
    """Runs at a time, and threads of each."""

    jobs: int
    threads: int


def share(count: int, jobs: int | None, small: Callable[[], bool]) -> Share:
    """Of the cores among ``count`` runs.

    Args:
        count: runs that are left.
        jobs: at a time, where somebody has said so.
        small: whether the runs are; asked only where it matters.
    """
    cores, asked = available_cores(), threads_asked()
    if torch.cuda.is_available():
        jobs = jobs or 1
        return Share(jobs, asked or max(1, cores // jobs))
    if jobs is None:
        jobs = cores if cores <= LARGE_AT_A_TIME or small() else LARGE_AT_A_TIME
    at_once = max(1, min(jobs, count))
    if asked or at_once >= cores:
        return Share(jobs, asked or 1)
    return Share(jobs, 1 if small() else cores // at_once)


def share_of(runs: Sequence[Run], jobs: int | None, task: SweepTask) -> Share:
    """As :func:`share`, of these runs; a step of each kind of run is tried where their size matters."""
    return share(len(runs), jobs, lambda: all_small(runs, task))


def all_small(runs: Sequence[Run], task: SweepTask) -> bool:
    """Whether every run is small; runs that are alike are tried once."""
    seen = set()
    for run in runs:
        size = task.size(run)
        if size.like not in seen:
            seen.add(size.like)
            if not is_small(run, size.trial):
                return False
    return True


def is_small(run: Run, trial: Callable[[Accelerator], Trial]) -> bool:
    """Whether a step of the run, of its whole batch, has fewer than SMALL operations."""
    with accelerated(run.precision) as accelerator, threads_of_torch(1):
        step, batch, samples = trial(accelerator)
        step.network.train()
        with FlopCounterMode(display=False) as counter:
            step(batch, 0)
    return counter.get_total_flops() * max(1, run.batch_size / samples) < SMALL


def settle(run: Run, trial: Callable[[Accelerator], Trial]) -> None:
    """One thread for the rest of this process if the run, the only one here, is small."""
    if not (torch.cuda.is_available() or threads_asked()) and is_small(run, trial):
        torch.set_num_threads(1)


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """So many inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
