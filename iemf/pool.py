"""The one pool of processes: for runs, evaluations and shards alike."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple, TypeVar

import torch

from iemf.errors import UserError

Job = TypeVar("Job")
POLL_SECONDS = 1.0


class ProcessDied(UserError):
    """A process of the pool was killed, or crashed."""


class Done(NamedTuple):
    """A job, what it gave, and the UserError it ended with, if it did."""

    job: object
    result: object
    error: UserError | None


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_asked() -> int | None:
    """What OMP_NUM_THREADS says, if it is set to a number."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is for nested levels
    return int(said) if said.isdecimal() and int(said) > 0 else None


def in_processes(
    function: Callable[[Job], object],
    jobs: Iterable[Job],
    processes: int,
    *,
    threads: int | None = None,
    polls: bool = False,
    what: str = "a process",
) -> Iterator[Done | None]:
    """``function`` of every job in fresh processes, each result as it comes.

    Args:
        function: one that a fresh process can import.
        jobs: begun in this order.
        processes: at a time.
        threads: of each; by default OMP_NUM_THREADS, or the cores shared out.
        what: the message of a kill begins with this.
        polls: yield None about every second besides, for a progress bar.

    Raises:
        ProcessDied: a process was killed. An error other than UserError in a job is raised here.
    """
    jobs = list(jobs)
    if not jobs:
        return
    threads = threads or threads_asked() or max(1, available_cores() // processes)
    context = multiprocessing.get_context("spawn")
    size = min(processes, len(jobs))
    with ProcessPoolExecutor(size, context, initializer=begin_worker, initargs=(threads,)) as pool:
        of = {pool.submit(function, job): job for job in jobs}
        pending = set(of)
        try:
            while pending:
                finished, pending = wait(pending, timeout=POLL_SECONDS if polls else None, return_when=FIRST_COMPLETED)
                for future in finished:
                    job = of.pop(future)
                    try:
                        yield Done(job, future.result(), None)
                    except BrokenProcessPool:
                        raise ProcessDied(f"{what} was killed (out of memory?); run the same command again to go on, "
                                          f"with `jobs` 1 if it happens again") from None  # fmt: skip
                    except UserError as error:
                        yield Done(job, None, error)
                if polls:
                    yield None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def begin_worker(threads: int) -> None:
    """The first thing that a process of a pool does: take its share of the cores, and end when its parent has ended.

    A worker whose parent was killed would otherwise go on with what is queued, and then wait for ever.
    """
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
