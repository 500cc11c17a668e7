"""The runs of a sweep as tasks of a Ray cluster: one in the place of :func:`iemf.pool.in_processes`.

What a run leaves, its checkpoints among it, lies in its folder, on storage that all nodes share; Ray itself carries
nothing but the run's config there and a line back. So a run whose node dies is begun again on another one and goes on
with its last checkpoint, and the driver reads progress and results from the folders.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from experiments.sweep.executor import ExecutorOptions
from experiments.sweep.options import Run
from experiments.sweep.runs import say
from experiments.sweep.task import SweepTask
from iemf.errors import UserError
from iemf.lock import InUse
from iemf.pool import POLL_SECONDS, Done

RETRIES = 5  # of a run whose node or process dies
PATIENCE = 120.0  # seconds in which the process of a node that was given up may end


def in_tasks(
    task: SweepTask, runs: Sequence[Run], options: ExecutorOptions, jobs: int | None = None
) -> Iterator[Done | None]:
    """Every run trained on the cluster, each as it comes; None about every second besides.

    Args:
        task: whose ``prepare`` is called once on each node, before the first run there.
        runs: begun in this order, wherever there is room.
        options: each run's CPUs and GPUs.
        jobs: at a time, at most; None: as many as there is room for.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached. An error other than UserError in a run is
            raised here.
    """
    with _cluster() as ray:
        cpus = 1.0 if options.cpus is None else options.cpus
        gpus = options.gpus
        if gpus is None:
            gpus = float(ray.cluster_resources().get("GPU", 0) > 0)
        _say_if_none_has(ray, cpus, gpus)
        # Spread: by default Ray fills one node up before it turns to the next.
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES, scheduling_strategy="SPREAD")(_work)
        waiting, begun = list(runs), {}
        try:
            while waiting or begun:
                while waiting and (jobs is None or len(begun) < jobs):
                    run = waiting.pop(0)
                    begun[remote.remote(task.train, task.prepare, run, max(1, int(cpus)))] = run
                finished, _ = ray.wait(list(begun), num_returns=1, timeout=POLL_SECONDS)
                for reference in finished:
                    run = begun.pop(reference)
                    yield Done(run, None, _error_of(ray, reference, run, task))
                yield None
        finally:
            for reference in begun:
                ray.cancel(reference, force=True)


def _error_of(ray: Any, reference: Any, run: Run, task: SweepTask) -> UserError | None:
    """What a task ended with."""
    try:
        said = ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return UserError(
            f"its node or process died {RETRIES + 1} times ({reason}); run the same command again to go on"
        )
    if said is None and not task.finished(run):
        return UserError(f"it was trained, but {run.out} is not there; `out` must lie on storage that all nodes share")
    return None if said is None else UserError(said)


def _work(train: Callable[[Run], dict], prepare: Callable[[Sequence[Run]], None], run: Run, threads: int) -> str | None:
    """On a node: the message of a UserError, None if all went well."""
    torch.set_num_threads(threads)
    try:
        _once_a_node(lambda: prepare([run]))
        _as_soon_as_free(lambda: train(run))
    except UserError as error:
        return str(error)
    return None


def _once_a_node(prepare: Callable[[], None]) -> None:
    """By the first process of a sweep on a node; the others wait for it."""
    import ray

    here = ray.get_runtime_context()
    folder = Path(tempfile.gettempdir()) / f"iemf-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    done = folder / f"{here.get_job_id()}-{here.get_node_id()}-prepared"
    with FileLock(done.with_suffix(".lock")):
        if not done.exists():
            prepare()
            done.touch()


def _as_soon_as_free(train: Callable[[], object]) -> None:
    """A process that Ray has given up may hold the run's folder until it sees that its node is no more."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            train()
            return
        except InUse:
            if time.monotonic() > until:
                raise
            time.sleep(1)


@contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, connected: to RAY_ADDRESS, else to the cluster that this machine is of, else to one of its own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError('`executor` ray needs Ray: pip install "iemf[ray]"') from None
    connected = ray.is_initialized()
    if not connected:
        try:
            ray.init(log_to_driver=False, logging_level="WARNING")
        except ConnectionError as error:
            raise UserError(f"no Ray cluster can be reached ({str(error).splitlines()[0]}); start one with `ray start` "
                            f"or set RAY_ADDRESS right") from None  # fmt: skip
    try:
        yield ray
    finally:
        if not connected:
            ray.shutdown()


def _say_if_none_has(ray: Any, cpus: float, gpus: float) -> None:
    """A line where Ray would wait, perhaps for ever: a node with as much may still be on its way."""
    rooms = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(room.get("CPU", 0) >= cpus and room.get("GPU", 0) >= gpus for room in rooms):
        say("ray", f"no node of the cluster has {cpus:g} CPU(s) and {gpus:g} GPU(s); waiting for one that has, or take "
                   f"less (--cpus, --gpus)")  # fmt: skip
