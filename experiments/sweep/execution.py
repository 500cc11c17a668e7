"""A sweep: plan or run a grid of configs, several at a time, pick up where an earlier attempt stopped, tabulate."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from experiments.sweep import launcher, on_ray, plan, threads
from experiments.sweep.executor import ExecutorOptions
from experiments.sweep.options import GridOptions, Run, RunBase
from experiments.sweep.runs import results_of
from experiments.sweep.task import SweepTask
from iemf.errors import UserError
from iemf.lock import only_writer
from iemf.pool import Done, in_processes
from iemf.processes import is_first, launched
from iemf.training import RunFolder

LOCAL = ExecutorOptions()


def sweep(config: GridOptions, runs: list[Run], task: SweepTask, out: Path) -> None:
    """Plan, or train what is missing, write the table, and print it.

    Raises:
        UserError: no run is finished, another program trains into ``out``, a folder holds a run of other options, or a
            run failed; the table then has the others.
    """
    if launched() > 1:
        launcher.check(config)
    if config.dry_run:
        runs = [*runs, *task.then(runs)]
        if todo := [run for run in runs if results_of(run) is None]:
            task.prepare(todo)
        with threads.threads_of_torch(threads.share_of(todo or runs, config.jobs, task).threads):
            print(plan.describe(runs, task))
        return
    # What is finished can be tabulated while the rest is being trained.
    with nullcontext() if config.collect or not is_first() else only_writer(out, "is training"):
        _carry_out(config, runs, task, out)


def _carry_out(config: GridOptions, runs: list[Run], task: SweepTask, out: Path) -> None:
    done, failures = _finished(config, runs, task)
    if following := task.then(runs):
        more, failed = _finished(config, following, task)
        runs, done, failures = [*runs, *following], [*done, *more], failures + failed
    if not done and config.collect:
        raise UserError(f"no finished run under {out / 'runs'}; leave out `collect` to train them")
    if not done:
        raise UserError(f"all {len(runs)} runs failed. {failures[0]}")
    if not is_first():
        return
    print(task.write(done, out, len(runs) - len(done)))
    if failures:
        raise UserError(f"{len(runs) - len(done)} of {len(runs)} runs failed, the table has the others. {failures[0]}")
    files = sorted(path.name for path in out.iterdir() if path.is_file() and not path.name.startswith("."))
    print(f"\nWritten to {out}: {', '.join(files)}")


def _finished(config: GridOptions, runs: list[Run], task: SweepTask) -> tuple[list[tuple[Run, dict]], list[str]]:
    """The runs that are finished, after all were trained if need be, with their results; and a line a failure."""
    todo = [run for run in runs if results_of(run) is None]
    runs = [replace(run, progress=False, resume=True) for run in runs]
    if config.collect:
        runs = [run for run in runs if results_of(run) is not None]
        if not runs:
            return [], []
    elif todo and launched() > 1:
        launcher.prepare(todo, task)
    elif todo:
        task.prepare(todo)
    runs = task.mark(runs)
    refuse_others(runs)
    failures = [] if config.collect else train_missing(runs, config.jobs, task, config.progress, config)
    return [(run, results) for run in runs if (results := results_of(run)) is not None], failures


def refuse_others(runs: Sequence[RunBase]) -> None:
    """Raise UserError where a folder holds a run of other options: a table must not claim what its runs have not."""
    for run in runs:
        RunFolder(run.out).check(run.stored(), resume=True)


def train_missing(
    runs: Sequence[Run],
    jobs: int | None,
    task: SweepTask,
    show: bool = True,
    where: ExecutorOptions = LOCAL,
) -> list[str]:
    """Train every run that has no results yet; finished ones are left as they are, begun ones go on.

    Args:
        runs: each with a folder of its own in ``out``.
        jobs: processes at a time; None: as :mod:`experiments.sweep.threads` shares out the cores.
        task: theirs.
        show: the bar.
        where: they are trained.

    Returns:
        One line for each run that failed; the others have finished.

    Raises:
        UserError: a folder holds a run of other options, or a process was killed.
    """
    todo = [run for run in runs if results_of(run) is None]
    pool = pool_of(todo, jobs, task, where)
    if is_first():
        print(f"{len(runs)} runs: {len(runs) - len(todo)} finished, {len(todo)} to go, {pool.where}", flush=True)
    needed = {run.out: task.before(run) for run in todo}
    first = {before.out: before for before in needed.values() if before is not None}
    refuse_others(list(first.values()))
    missing = [run for run in first.values() if not task.finished(run)]
    # Both kinds at once: what needs nothing before it keeps the other cores busy.
    ready = [run for run in todo if needed[run.out] is None]
    failures = _train_all([*missing, *ready], pool, task, show)
    broken = {run.out for run in missing if not task.finished(run)}
    waiting = [run for run in todo if (before := needed[run.out]) is not None and before.out not in broken]
    return failures + _train_all(waiting, pool, task, show)


class Pool(NamedTuple):
    """What trains runs: how, as of :func:`iemf.pool.in_processes`, and where, in words."""

    train: Callable[[Sequence[Run]], Iterator[Done | None]]
    where: str


def pool_of(todo: Sequence[Run], jobs: int | None, task: SweepTask, where: ExecutorOptions) -> Pool:
    """Processes of this machine, tasks of a cluster, or this process as one of several that a launcher has started."""
    if launched() > 1:
        return Pool(lambda runs: launcher.train(runs, task), f"one at a time in {launched()} processes")
    if where.executor == "ray":
        return Pool(lambda runs: on_ray.in_tasks(task, runs, where, jobs), "on Ray")
    share = threads.share_of(todo, jobs, task)

    def train(runs: Sequence[Run]) -> Iterator[Done | None]:
        return in_processes(task.train, runs, share.jobs, threads=share.threads, polls=True, what="a training process")

    return Pool(train, f"{share.jobs} at a time")


def _train_all(todo: Sequence[Run], pool: Pool, task: SweepTask, show: bool) -> list[str]:
    """Train runs in a pool, under one bar; a line for each failure."""
    if not todo:
        return []

    def cost(run: Run) -> float:
        return task.epochs(run) * task.epoch_cost(run)

    def behind() -> float:
        return sum(len(RunFolder(run.out).metrics()) * task.epoch_cost(run) for run in todo)

    # The longest first, so that no core waits for a late one at the end.
    todo = sorted(todo, key=cost, reverse=True)
    failures, finished, show = [], 0, show and is_first()
    with (
        tqdm(total=sum(map(cost, todo)), initial=behind(), desc="runs", disable=not show, dynamic_ncols=True,
             bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}") as bar,
        closing(pool.train(todo)) as results,
    ):  # fmt: skip
        for done in results:
            if done is not None:
                finished += 1
                if done.error is not None:
                    failures.append(f"{done.job.out.name}: {done.error}")
            bar.n = min(behind(), bar.total)
            bar.set_postfix_str(f"{finished}/{len(todo)} runs")
            bar.refresh()
    return failures
