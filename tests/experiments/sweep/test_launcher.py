"""What a launcher has started as two processes: a run, and sweeps whose every run is of both."""

import os
import socket
from pathlib import Path

import pytest
import torch.distributed
import torch.multiprocessing

from iemf.files import read_json
from iemf.training import RunFolder
from tests.experiments import helpers

SEED = ("--seeds", 0, "--no-progress")
COMMANDS = {
    "classification": ("--method", "concat", "--iemf", "--epochs", 2, "--width", 2, "--batch-size", 40, "--sync-norm"),
    "continual": ("--methods", "lwf", "av-cil", "--variants", "iemf", "--epochs", 1, "--features", 4, *SEED),
    "avqa": ("--models", "baseline", "st-avqa", "--variants", "iemf", "--epochs", 1, "--match-epochs", 1, "--width", 4,
             "--batch-size", 64, *SEED),
}  # fmt: skip


def command(program, folder):
    beside = {"avqa": ("--cache", f"{folder}/qa"), "classification": ("--no-progress",)}.get(program, ())
    return (*COMMANDS[program], *beside, "--out", f"{folder}/{program}")


def replica(rank, port, folder):
    """One of two processes on the CPU, as a launcher sets it up."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port), ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1")  # fmt: skip
    torch.set_num_threads(1)
    with helpers.fast(), helpers.few_digits(), helpers.few_scenes():
        said = {program: helpers.call(program, *command(program, folder)) for program in COMMANDS}
        said["robustness"] = helpers.call("robustness", "--runs", folder, "--out", f"{folder}/robustness")
        said["dry run"] = helpers.call("continual", *COMMANDS["continual"], "--dry-run", "--out", f"{folder}/none")
        said["jobs"] = helpers.call("continual", *COMMANDS["continual"], "--jobs", 2, "--out", f"{folder}/none")
    torch.save(said, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """(folder, what each process said: exit code, stdout, stderr)."""
    folder = tmp_path_factory.mktemp("launched")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(replica, (port, str(folder)), nprocs=2)
    return folder, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("program", COMMANDS)
def test_a_task_is_trained_by_two_processes_and_the_first_one_says_so(launched, program):
    folder, said = launched
    assert [each[program][0] for each in said] == [0, 0], [each[program][2] for each in said]
    first, second = (each[program][1] for each in said)
    assert ("test accuracy" if program == "classification" else "Written to") in first
    assert second == ""
    runs = [folder / program] if program == "classification" else sorted((folder / program / "runs").iterdir())
    assert len(runs) == {"classification": 1, "continual": 2, "avqa": 3}[program]  # with stage 1 of question answering
    for run in runs:
        content = torch.load(RunFolder(run).last_checkpoint, weights_only=True)
        assert content["processes"] == 2
        assert RunFolder(run).results() is not None
    if program != "classification":
        assert (folder / program / "table.md").read_text().count("|") > 10


def test_the_option_is_stored_where_it_is_on(launched):
    folder, _ = launched
    assert read_json(folder / "classification" / "config.json")["sync_norm"] is True


@pytest.mark.parametrize(("name", "reason"), [
    ("robustness", "robustness is a program of one process, and a launcher has started 2; start it without"),
    ("dry run", "--dry-run times one process, and a launcher has started 2; start it without"),
    ("jobs", "--jobs 2: each run has all 2 processes that a launcher has started; leave it out"),
])  # fmt: skip
def test_what_several_processes_cannot_do_is_refused(launched, name, reason):
    for each in launched[1]:
        code, _, error = each[name]
        assert code == 2
        assert reason in error


def test_one_process_needs_no_norm_of_the_global_batch(call, tmp_path):
    with helpers.few_digits():
        code, _, error = call("classification", *command("classification", tmp_path))
    assert code == 2
    assert "--sync-norm is for a run of several processes (torchrun, accelerate launch)" in error


def test_a_run_without_it_is_stored_as_ever():
    from experiments.classification.options import RunConfig

    assert "sync_norm" not in RunConfig(out=Path("x")).stored()
    assert RunConfig.from_stored(RunConfig(sync_norm=True).stored()).sync_norm
