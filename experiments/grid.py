"""Run a grid of configs, several at a time, and pick up where an earlier attempt stopped."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import TypeVar

import torch
from tqdm import tqdm

from experiments.options import RunConfig, resolve
from iemf.errors import UserError
from iemf.processes import begin_worker
from iemf.training import RunFolder

POLL_SECONDS = 1.0
Config = TypeVar("Config")


def default_jobs() -> int:
    """Runs at a time: one on a GPU, else one a core up to four.

    Small networks leave a second thread idle: on two cores a grid of four runs took 35 and 48 s with --jobs 2, and 55
    and 59 s with --jobs 1 (--methods concat --variants vanilla joint --seeds 0 --epochs 2 --width 8, in turn).
    """
    return 1 if torch.cuda.is_available() else min(4, available_cores())


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_grid(configs: Sequence[RunConfig], jobs: int, train: Callable[[RunConfig], dict]) -> list[str]:
    """Train every config that has no results yet; finished ones are left as they are, begun ones go on.

    Args:
        configs: each with a folder of its own in ``out``.
        jobs: processes at a time; the cores are shared out among their threads.
        train: a function a fresh process can import.

    Returns:
        One line for each run that failed; the others have finished.

    Raises:
        UserError: a folder holds a run of other options, or a process was killed.
    """
    readers = max(0, available_cores() // jobs - 1)
    shared = {"resume": True, "progress": False}
    configs = [
        resolve(replace(c, workers=readers if c.dataset != "av-digits" and c.workers is None else c.workers, **shared))
        for c in configs
    ]
    for config in configs:
        RunFolder(config.out).check(config.stored(), resume=True)
    todo = [config for config in configs if RunFolder(config.out).results() is None]
    # The longest first, so that no core waits for a late one at the end.
    todo.sort(key=cost, reverse=True)
    print(f"{len(configs)} runs: {len(configs) - len(todo)} finished, {len(todo)} to go, {jobs} at a time")
    return run_pool(todo, jobs, train, cost, progress)


def run_pool(
    todo: Sequence[Config],
    jobs: int,
    train: Callable[[Config], dict],
    cost: Callable[[Config], float],
    progress: Callable[[Config], float],
    show: bool = True,
) -> list[str]:
    """Train configs in processes of their own, under one bar.

    Args:
        todo: each with a folder of its own in ``out``.
        jobs: processes at a time; the cores are shared out among their threads.
        train: a function a fresh process can import.
        cost: of a run, relative to others.
        progress: the part of the cost that is behind a run.
        show: the bar.

    Returns:
        One line for each run that failed; the others have finished.

    Raises:
        UserError: a process was killed.
    """
    if not todo:
        return []
    threads = max(1, available_cores() // jobs)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(min(jobs, len(todo)), context, initializer=begin_worker, initargs=(threads,)) as pool,
        tqdm(total=sum(map(cost, todo)), initial=sum(map(progress, todo)), desc="grid", unit="epoch", disable=not show,
             bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}", dynamic_ncols=True) as bar,
    ):  # fmt: skip
        pending = {pool.submit(train, config): config for config in todo}
        try:
            return _watch(pending, lambda: sum(map(progress, todo)), bar)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _watch(pending: dict[Future, Config], behind: Callable[[], float], bar: tqdm) -> list[str]:
    """Move the bar until every future is done; the failures, a line each."""
    failures, finished, count = [], 0, len(pending)
    while pending:
        done, _ = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            config = pending.pop(future)
            finished += 1
            try:
                future.result()
            except UserError as error:
                failures.append(f"{config.out.name}: {error}")
            except BrokenProcessPool:
                raise UserError("a training process was killed (out of memory?); run the same command again to "
                                "go on, with --jobs 1 if it happens again") from None  # fmt: skip
        bar.n = behind()
        bar.set_postfix_str(f"{finished}/{count} runs")
        bar.refresh()
    return failures


def cost(config: RunConfig) -> int:
    """Relative length of a run: epochs times time steps."""
    return config.epochs * (config.time_steps or 1)


def progress(config: RunConfig) -> int:
    """The part of :func:`cost` that is behind a run."""
    return len(RunFolder(config.out).metrics()) * (config.time_steps or 1)
