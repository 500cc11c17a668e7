"""Full disks, places that must not be written to, requests to end, and clocks that jump: a run loses nothing."""

import errno
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from experiments.sweep import command_line
from iemf.training import RunFolder, checkpoint
from tests.conftest import ROOT
from tests.experiments.helpers import call
from tests.experiments.test_same_in_all_tasks import without_times
from tests.faults import full_disk

pytestmark = pytest.mark.usefixtures("small")
RUN = ("--width", 2, "--batch-size", 120, "--epochs", 3, "--no-progress", "--resume")
SCRIPT = """
import sys
from experiments.sweep import command_line
from tests.experiments.helpers import few_digits

with few_digits():
    command_line.run_program("classification", sys.argv[1:])
"""


def outcome(out):
    """(weights of the best and the last epoch, records, results), times left out."""
    folder = RunFolder(out)
    weights = [checkpoint.load(path)["network"] for path in (folder.best_checkpoint, folder.last_checkpoint)]
    return weights, [without_times(record) for record in folder.metrics()], without_times(folder.results())


def assert_same(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert one[1:] == other[1:]


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """What a run leaves that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert call("classification", *RUN, "--out", out)[0] == 0
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"last.pt", "best.pt"}
    return outcome(out)


def test_a_full_disk_in_training_is_one_line_and_with_room_it_ends_the_same(whole, tmp_path):
    out = tmp_path / "run"
    for largest, name in ((100_000, "best.pt"), (200_000, "last.pt")):
        with full_disk(largest):
            code, _, error = call("classification", *RUN, "--out", out)
        assert (code, error.count("\n")) == (2, 1), error
        assert f"checkpoints/{name} cannot be written (File too large)" in error
        assert "make room or mend the place, then go on with --resume" in error
        assert not [p for p in out.rglob(".*") if p.is_file() and p.name != ".lock"]  # nothing half-written is left
    code, _, error = call("classification", *RUN, "--out", out)
    assert code == 0, error
    assert_same(outcome(out), whole)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_wherever_a_program_writes_a_full_disk_is_one_line(capsys, number):
    def main(config):
        raise OSError(number, os.strerror(number), "runs/x/table.md")

    with pytest.raises(SystemExit) as stop:
        command_line.run(command_line.configs()["benchmark"], main, "benchmark", ["lif"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f"benchmark: error: runs/x/table.md cannot be written ({os.strerror(number)}); finished turns are kept: make "
        f"room or mend the place, and the same command again goes on\n"
    )


def test_other_errors_of_the_system_are_defects_and_show_their_trace():
    def main(config):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")

    with pytest.raises(FileNotFoundError):
        command_line.run(command_line.configs()["benchmark"], main, "benchmark", ["lif"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("program", ["classification", "compare", "prepare"])
def test_a_read_only_folder_is_one_line(tmp_path, program):
    (tmp_path / "there").mkdir(mode=0o555)
    rest = {"prepare": ("folder", "--source", tmp_path)}.get(program, ())
    code, _, error = call(program, *rest, "--out", tmp_path / "there" / "run")
    assert (code, error.count("\n")) == (2, 1)
    assert "cannot be written (Permission denied); name another folder" in error


def test_asked_to_end_a_run_keeps_its_checkpoint_and_ends_the_same(whole, tmp_path):
    """SIGTERM, as schedulers of clusters send it: exit code 143."""
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, RUN), "--epochs", "200", "--out", out], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not RunFolder(out).last_checkpoint.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    told = process.communicate()[1]
    assert process.returncode == 143
    assert "Traceback" not in told
    assert RunFolder(out).results() is None
    kept = checkpoint.load(RunFolder(out).last_checkpoint)
    assert kept["epoch"] + 1 == len(kept["history"])
    records = [without_times(record) for record in RunFolder(out).metrics()]
    assert records == [without_times(record) for record in kept["history"]][: len(records)]
    code, _, error = call("classification", *RUN, "--out", out)
    assert code == 2
    assert "config.json has epochs=200, this run 3; resume with the same options" in error


def test_a_clock_that_jumps_changes_nothing_but_what_is_shown(whole, monkeypatch, tmp_path):
    rng, now = random.Random(0), time.time

    def jumping():
        return now() + rng.choice((-1, 1)) * rng.random() * 1e9

    monkeypatch.setattr(time, "time", jumping)
    code, _, error = call("classification", *RUN, "--progress", "--out", tmp_path / "run")
    assert code == 0, error
    assert_same(outcome(tmp_path / "run"), whole)
