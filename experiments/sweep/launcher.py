"""A sweep that ``torchrun`` or ``accelerate launch`` has started: every run is of all its processes, one after another.

Each process walks through the sweep; the first one prepares data, holds the folder, and writes the table. A run that
fails ends the program, as the processes could no longer be sure of one another; the same command goes on.
"""

from collections.abc import Iterator, Sequence

from experiments.sweep.accelerator import accelerated
from experiments.sweep.options import GridOptions, Run
from experiments.sweep.task import SweepTask
from iemf.errors import UserError
from iemf.pool import Done
from iemf.processes import launched


def check(config: GridOptions) -> None:
    """Raise UserError for what such a sweep cannot do."""
    if config.dry_run:
        raise UserError(f"`dry_run` times one process, and a launcher has started {launched()}; start it without")
    if config.executor != "local":
        raise UserError(f"`executor` {config.executor} starts its runs itself; start the sweep without a launcher")
    if config.jobs not in (None, 1):
        raise UserError(f"`jobs` {config.jobs}: each run has all {launched()} processes that a launcher has started; "
                        f"leave it out")  # fmt: skip


def prepare(runs: Sequence[Run], task: SweepTask) -> None:
    """The first process makes or checks the data, the others wait."""
    with accelerated(runs[0].precision) as accelerator:
        if accelerator.is_main_process:
            task.prepare(runs)
        accelerator.wait_for_everyone()


def train(runs: Sequence[Run], task: SweepTask) -> Iterator[Done]:
    """Every run, here."""
    for run in runs:
        task.train(run)
        yield Done(run, None, None)
