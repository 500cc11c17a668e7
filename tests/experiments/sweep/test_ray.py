"""A sweep on a Ray cluster of two nodes, one of which is killed: nothing is lost, nothing differs."""

import contextlib
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pytest
import torch

from experiments.classification import compare
from experiments.sweep import command_line, on_ray
from experiments.sweep.executor import ExecutorOptions
from experiments.sweep.task import SweepTask
from iemf.errors import UserError
from iemf.lock import HOLDER, InUse
from iemf.training import RunFolder
from tests.conftest import ROOT, write_clip
from tests.experiments import helpers

EPOCHS = 24


def test_shares_of_a_run(call, tmp_path):
    def said(*options):
        code, _, error = call("continual", "--out", tmp_path, *options)
        assert code == 2
        return error

    assert "--cpus 2 is read with --executor ray only" in said("--cpus", 2)
    assert "--gpus 1.5 must be a fraction of 1, or a whole number" in said("--executor", "ray", "--gpus", 1.5)
    assert "--cpus 0 must be" in said("--executor", "ray", "--cpus", 0)


def test_a_folder_that_is_still_held_is_waited_for(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    tries = iter([InUse("held"), InUse("held"), None])

    def train():
        if (error := next(tries)) is not None:
            raise error

    on_ray._as_soon_as_free(train)
    assert next(tries, "all") == "all"
    monkeypatch.setattr(on_ray, "PATIENCE", -1.0)
    tries = iter([InUse("held")])
    with pytest.raises(InUse):
        on_ray._as_soon_as_free(train)


@pytest.fixture(scope="module")
def cluster():
    """A head without CPUs, two nodes of one each."""
    ray = pytest.importorskip("ray", reason='needs the extra "ray"')
    from ray.cluster_utils import Cluster

    quiet = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    with mock.patch.dict(os.environ, quiet):
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made, nodes
        ray.shutdown()
        made.shutdown()


@dataclass(frozen=True)
class Small:
    """A run that writes down where it was."""

    number: int
    out: Path


def node() -> str:
    import ray

    return ray.get_runtime_context().get_node_id()


def note(runs):
    with (runs[0].out / "prepared").open("a") as file:
        file.write(f"{node()}\n")


def work(run):
    time.sleep(0.3)
    if run.number == 1:
        raise UserError("the second one fails")
    (run.out / str(run.number)).write_text(f"{node()} {torch.get_num_threads()}")


SMALL = SweepTask(work, None, None, prepare=note, finished=lambda run: (run.out / str(run.number)).exists())


def test_each_node_prepares_once_and_a_failure_is_of_its_run_alone(cluster, tmp_path):
    runs = [Small(number, tmp_path) for number in range(6)]
    done = {each.job.number: each.error for each in on_ray.in_tasks(SMALL, runs, ExecutorOptions("ray")) if each}
    assert {number: str(error) for number, error in done.items() if error} == {1: "the second one fails"}
    notes = [(tmp_path / str(number)).read_text().split() for number in (0, 2, 3, 4, 5)]
    assert {threads for _, threads in notes} == {"1"}
    prepared = (tmp_path / "prepared").read_text().split()
    assert len(prepared) == len(set(prepared)) == 2
    assert {where for where, _ in notes} <= set(prepared)


def test_what_was_trained_elsewhere_is_missed(cluster, tmp_path):
    lost = replace(SMALL, finished=lambda run: False)
    (done,) = (each for each in on_ray.in_tasks(lost, [Small(0, tmp_path)], ExecutorOptions("ray")) if each)
    assert "`out` must lie on storage that all nodes share" in str(done.error)


def grid(data, out):
    """Three small runs: the command of their sweep."""
    for label, pitch in (("high", 1600.0), ("low", 300.0)):
        for split, count in (("train", 12), ("val", 4), ("test", 4)):
            for i in range(count):
                write_clip(data / split / label, f"clip {i}", seed=100 * count + i, pitch=pitch)
    return ("--dataset", "folder", "--data-root", data, "--methods", "ogm-ge", "--networks", "ann", "--variants",
            "iemf", "--seeds", 0, 1, 2, "--epochs", EPOCHS, "--width", 4, "--batch-size", 8, "--image-size", 32,
            "--seconds", 0.2, "--workers", 0, "--no-progress", "--out", out)  # fmt: skip


def without_times(results):
    return {name: value for name, value in results.items() if not name.startswith("seconds")}


def test_a_node_is_killed_and_the_table_is_that_of_one_machine(cluster, call, tmp_path):
    """The local executor's, bit for bit; the run of the dead node goes on with its last checkpoint."""
    made, nodes = cluster
    command = grid(tmp_path / "data", tmp_path / "ray")
    config = command_line.parse(command_line.configs()["compare"], list(map(str, command)), "compare")
    folders = [RunFolder(run.out) for run in compare.grid(config)]
    seen, holders = [], {folder: set() for folder in folders}

    def kill():
        until = time.monotonic() + 120
        while time.monotonic() < until:
            begun = [folder for folder in folders if len(folder.metrics()) >= 2 and folder.results() is None]
            if len(begun) == 2:  # one on each node
                seen.extend((folder, folder.metrics()) for folder in begun)
                made.remove_node(nodes[1], allow_graceful=False)
                break
            look()
        while time.monotonic() < until and any(folder.results() is None for folder in folders):
            look()

    def look():
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                holders[folder].add((folder.path / HOLDER).read_text())
        time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    code, told, error = call("compare", *command, "--executor", "ray")
    killer.join()
    assert code == 0, error
    assert len(seen) == 2, "no two runs were under way at once"
    assert "3 runs: 0 finished, 3 to go, on Ray" in told
    for folder, before in seen:  # seconds and all: they were not trained again
        assert folder.metrics()[: len(before)] == before
        assert len(folder.metrics()) == EPOCHS
    assert sorted(len(who) for who in holders.values()) == [1, 1, 2]  # processes that trained each: one was taken over

    with helpers.pool_of_one():
        local = [*command[:-1], tmp_path / "local"]
        code, told, error = call("compare", *local)
    assert code == 0, error
    for folder in folders:
        other = RunFolder(tmp_path / "local" / "runs" / folder.path.name)
        assert without_times(folder.results()) == without_times(other.results())
        for name in ("last.pt", "best.pt"):
            ours, theirs = (torch.load(each.checkpoints / name, weights_only=True)["network"] for each in
                            (folder, other))  # fmt: skip
            assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    tables = [(tmp_path / name / "table.md").read_text() for name in ("ray", "local")]
    assert tables[0] == tables[1]
