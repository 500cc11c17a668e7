"""Two programs never write into one folder; a crash lets go of it."""

import json
import os
import signal
import subprocess
import sys

import pytest

from iemf import lock
from iemf.lock import only_writer
from tests import official
from tests.conftest import ROOT
from tests.preparing import SMALL

pytestmark = pytest.mark.usefixtures("small")
RUN = ("--width", 2, "--batch-size", 250, "--no-progress")

# A training that has begun and does not go on.
STUCK = """
import sys, time
from unittest import mock
from experiments.sweep import command_line
from iemf.training import Trainer
from tests.experiments.helpers import few_digits

def stuck(self, resume=False):
    print("trains", flush=True)
    time.sleep(600)

with few_digits(), mock.patch.object(Trainer, "fit", stuck):
    command_line.run_program("classification", sys.argv[1:])
"""


def test_two_runs_in_one_folder_do_not_mix(call, tmp_path):
    """Seed 0 with 8 epochs and, while it trains, seed 1 with 2; killed outright, the first is gone on with."""
    out = tmp_path / "run"
    first = (*RUN, "--out", out, "--seed", 0, "--epochs", 2)
    process = subprocess.Popen([sys.executable, "-c", STUCK, *map(str, first)], cwd=ROOT, stdout=subprocess.PIPE,
                               text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert process.stdout.readline() == "trains\n"
    for second in ((*first, "--resume"), (*RUN, "--out", out, "--seed", 1, "--epochs", 1)):
        code, _, error = call("classification", *second)
        assert (code, error.count("\n")) == (2, 1)
        assert str(out) in error
    code, _, error = call("classification", *first, "--resume")
    assert f"{out} is in use: process {process.pid} on " in error
    assert "is training there; wait for its end or name another folder" in error
    process.send_signal(signal.SIGKILL)
    process.wait()
    code, _, error = call("classification", *first, "--resume")
    assert code == 0, error
    assert json.loads((out / "config.json").read_text())["seed"] == 0
    assert json.loads((out / "results.json").read_text())["seed"] == 0
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2


def programs(tmp_path):
    """{program: its command line}, each with what it needs to get as far as writing."""
    official.urbansound8k_av(tmp_path / "raw", per_class=6)
    return {
        "classification": RUN,
        "compare": ("--methods", "concat", "--seeds", 0, "--epochs", 1, *RUN),
        "continual": ("--seeds", 0, "--no-progress"),
        "avqa": ("--seeds", 0, "--cache", tmp_path / "cache", "--no-progress"),
        "prepare": ("urbansound8k-av", "--source", tmp_path / "raw", *SMALL),
        "extract": ("--task", "continual", "--dataset", "ave-ci", "--source", tmp_path, "--lists", tmp_path),
    }


@pytest.mark.parametrize("program", ["classification", "compare", "continual", "avqa", "prepare", "extract"])
def test_every_program_that_writes_is_refused_where_another_works(call, tmp_path, monkeypatch, program):
    monkeypatch.setattr(lock, "GRACE", 0.0)
    arguments = programs(tmp_path)[program]
    with only_writer(tmp_path / "out", "is training"):
        code, _, error = call(program, *arguments, "--out", tmp_path / "out")
        assert (code, error.count("\n")) == (2, 1), error
        assert f"{program}: error: --out {tmp_path / 'out'} is in use: process {os.getpid()} on " in error
        assert lock.holds_nothing(tmp_path / "out")


def test_finished_runs_are_tabulated_while_others_train(call, tmp_path):
    command = ("compare", "--methods", "concat", "--variants", "joint", "--networks", "ann", "--seeds", 0, "--epochs",
               1, *RUN, "--out", tmp_path / "out")  # fmt: skip
    assert call(*command)[0] == 0
    with only_writer(tmp_path / "out", "is training"):
        assert call(*command, "--collect")[0] == 0
