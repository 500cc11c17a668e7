"""What a sweep would train, and how long that would take on this machine: a few training steps are timed."""

import statistics
import time
from collections.abc import Sequence

import torch

from experiments.sweep.accelerator import accelerated
from experiments.sweep.options import Run
from experiments.sweep.runs import results_of
from experiments.sweep.table import table_lines
from experiments.sweep.task import SweepTask, Trial

FORWARD = 1 / 3  # of a training step: what a sample costs that is only evaluated


def describe(runs: Sequence[Run], task: SweepTask) -> str:
    """The plan as a table, a row a cell.

    Raises:
        UserError: a data set's size cannot be known.
    """
    speeds: dict[tuple, float] = {}
    rows, total, finished = [], 0.0, 0
    cells: dict[tuple, list[Run]] = {}
    for run in runs:
        cells.setdefault(task.cell(run), []).append(run)
    for cell, of_cell in cells.items():
        example = of_cell[0]
        size = task.size(example)
        if size.like not in speeds:
            with accelerated(example.precision) as accelerator:
                speeds[size.like] = samples_a_second(size.trial(accelerator), accelerator.device)
        hours = size.samples / speeds[size.like] / 3600
        left = [run for run in of_cell if results_of(run) is None]
        finished += len(of_cell) - len(left)
        total += hours * len(left)
        seeds = " ".join(str(run.seed) for run in of_cell)
        rows.append([size.labels[0], cell[0].upper(), size.labels[1], size.paper, seeds, str(example.epochs),
                     duration(hours)])  # fmt: skip
    header = ["method", "network", "variant", "paper: %", "seeds", "epochs", "time a run"]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} thread(s)"
    rates = ", ".join(f"{' '.join(map(str, like))} {speed:.3g}" for like, speed in speeds.items())
    note = f"{runs[0].dataset}: {len(runs)} runs, {finished} of them finished; about {duration(total)} for the "
    note += f"others, one after another. Training samples a second, timed on {device}: {rates}."
    return "\n".join([table_lines(header, rows), "", note])


def samples_a_second(trial: Trial, device: torch.device) -> float:
    """Training samples a second: the loop's own step."""
    trial.step.network.train()
    on_gpu = device.type == "cuda"

    def seconds() -> float:
        began = time.perf_counter()
        trial.step(trial.batch, 0)
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    for _ in range(5 if on_gpu else 1):
        seconds()
    return trial.samples / statistics.median(seconds() for _ in range(10 if on_gpu else 3))


def duration(hours: float) -> str:
    """In the unit that reads best."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
