"""experiments.prepare run again, killed, on a full disk, on several cores."""

import os
import signal
import subprocess
import sys
import time

import pytest

from iemf.data.preparation import run
from tests import official
from tests.conftest import ROOT
from tests.media import write_picture
from tests.preparing import SMALL, content, skipped


def test_repeated_it_does_nothing_and_a_mended_file_is_taken_up(call, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "CLIPS_A_SHARD", 4)
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    official.urbansound8k_av(raw, per_class=6)
    command = ("prepare", "urbansound8k-av", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.5)
    assert call(*command)[0] == 0
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert call(*command)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == before
    write_picture(raw / "Dataset_v3_vision" / "car_horn" / "3-3-0-0.jpg", 0)
    assert call(*command)[0] == 0
    assert "car_horn/3-3-0-0" not in skipped(out)
    changed = [p for p in (out / "shards").iterdir() if before.get(p) != p.stat().st_mtime_ns]
    assert len(changed) == 1
    assert len(list((out / "shards").iterdir())) == 6


def test_a_kill_in_the_middle_loses_nothing(call, monkeypatch, tmp_path):
    """Killed outright and run again, the folder is byte for byte that of a run that was left alone."""
    raw = tmp_path / "raw"
    official.urbansound8k_av(raw, per_class=40)

    def command(out):
        code = (
            "import sys; from iemf.data.preparation import run; run.CLIPS_A_SHARD = 8\n"
            "from experiments.sweep import command_line\n"
            "command_line.run_program('prepare')"
        )
        return [sys.executable, "-c", code, "urbansound8k-av", "--source", str(raw), "--out", str(out), "--jobs", "1",
                "--no-progress"]  # fmt: skip

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(command(killed), cwd=ROOT, stdout=subprocess.DEVNULL)
    while len(list(killed.glob("shards/*.arrow"))) < 3:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "manifest.json").exists()
    (killed / "shards" / f".train-00009.arrow.{process.pid}").write_bytes(b"half a shard")
    kept = {p: p.stat().st_mtime_ns for p in killed.glob("shards/*.arrow")}
    assert len(kept) < 15
    monkeypatch.setattr(run, "CLIPS_A_SHARD", 8)
    for out in (killed, whole):
        assert call("prepare", *command(out)[3:])[0] == 0
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert content(killed) == content(whole)


def start_on_two_cores(raw, out, tmp_path):
    """prepare in a process group of its own, once it has begun to write."""
    code = (
        "from experiments.sweep import command_line\nif __name__ == '__main__': command_line.run_program('prepare')\n"
    )
    (tmp_path / "run.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", "urbansound8k-av", "--source", raw, "--out", out, "--jobs", "2",
         "--no-progress"], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not list(out.glob("shards/*.arrow*")):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def assert_group_ends(process):
    for _ in range(300):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("processes are left")


def test_asked_to_end_a_program_ends_the_processes_it_started(tmp_path):
    """SIGTERM in the middle of preparing on two cores leaves no process behind."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    official.urbansound8k_av(raw, per_class=70)
    process = start_on_two_cores(raw, out, tmp_path)
    process.terminate()
    assert process.wait(timeout=30) == 143
    assert_group_ends(process)


def test_a_killed_parents_workers_end_by_themselves(tmp_path):
    """Not even SIGKILL leaves processes that go on preparing."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    official.urbansound8k_av(raw, per_class=70)
    process = start_on_two_cores(raw, out, tmp_path)
    process.kill()
    process.wait()
    assert_group_ends(process)


def test_all_cores_give_what_one_gives(call, tmp_path):
    raw = tmp_path / "raw"
    official.urbansound8k_av(raw, per_class=30)
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        command = ("prepare", "urbansound8k-av", "--source", raw, "--out", out, "--no-progress", "--jobs", jobs)
        assert call(*command)[0] == 0
    assert content(tmp_path / "jobs1") == content(tmp_path / "jobs2")


def test_a_full_disk_is_one_clear_line(tmp_path):
    """A real limit on the size of files, which the system reports as it does a full disk."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    official.urbansound8k_av(raw, per_class=20)
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from experiments.sweep import command_line\n"
        "command_line.run_program('prepare')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "urbansound8k-av", "--source", raw, "--out", out, "--jobs", "1", "--no-progress"],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "train-00000.arrow cannot be written (File too large)" in done.stderr
    assert [p.name for p in out.rglob("*") if p.is_file()] == ["plan.json"]


def test_a_lower_limit_holds_for_what_is_prepared_already(call, prepared, tmp_path):
    command = ("prepare", "urbansound8k-av", "--source", tmp_path / "raw", "--out", prepared, *SMALL)
    assert "more than --max-skipped 0.05" in call(*command)[2]


def test_a_run_is_not_resumed_on_data_that_were_prepared_anew(call, prepared, tmp_path):
    command = ("classification", "--dataset", "urbansound8k-av", "--data-root", prepared, "--out", tmp_path / "run",
               "--epochs", 1, "--width", 2, "--image-size", 32, "--spectrogram-size", 32, "--seconds", 0.5,
               "--batch-size", 5, "--workers", 0, "--no-progress")  # fmt: skip
    assert call(*command)[0] == 0
    (tmp_path / "run" / "results.json").unlink()
    call("prepare", "urbansound8k-av", "--source", tmp_path / "raw", "--out", prepared, *SMALL, "--max-skipped", 0.5,
         "--split-seed", 5)  # fmt: skip
    code, _, error = call(*command, "--resume")
    assert (code, error.count("\n")) == (2, 1)
    assert "data_digest" in error
