"""Reading the next while the last is worked on."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Job, Result = TypeVar("Job"), TypeVar("Result")


def read_ahead(jobs: Iterable[Job], read: Callable[[Job], Result]) -> Iterator[Result]:
    """read(job) of every job in order; the next is read in a thread while the caller works on one."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        pending = None
        for job in jobs:
            following = pool.submit(read, job)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
