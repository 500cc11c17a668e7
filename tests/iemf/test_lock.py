"""A folder has one writer at a time; a crash lets go of it."""

import os
import platform
import signal
import subprocess
import sys

import pytest

from iemf import lock
from iemf.errors import UserError
from iemf.lock import only_writer
from tests.conftest import ROOT

HOLD = """
import pathlib, sys
from iemf.lock import only_writer

with only_writer(pathlib.Path(sys.argv[1]), "is training"):
    print("holds", flush=True)
    sys.stdin.read()
"""


def holder(folder):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], cwd=ROOT, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout.readline() == "holds\n"
    return process


def test_a_second_program_is_refused_until_the_first_has_ended_or_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "GRACE", 0.1)
    folder = tmp_path / "a" / "run"
    process = holder(folder)
    words = rf"`out` {folder} is in use: process {process.pid} on {platform.node()} is training there; wait"
    for _ in range(2):
        with pytest.raises(UserError, match=words), only_writer(folder, "is training"):
            raise AssertionError("both hold it")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / lock.HOLDER).exists()  # a crash leaves it, and it means nothing
    with only_writer(folder, "is training"):
        assert str(os.getpid()) in (folder / lock.HOLDER).read_text()
    process = holder(folder)
    process.communicate("")
    with only_writer(folder, "is training"):
        pass


def test_it_leaves_nothing_behind_where_nothing_came_of_it(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    for folder in (tmp_path / "new", tmp_path / "mine"):
        with pytest.raises(UserError, match="bad data"), only_writer(folder, "is training"):
            raise UserError("bad data")
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with only_writer(tmp_path / "new", "is training"):
        assert lock.holds_nothing(tmp_path / "new")
        (tmp_path / "new" / ".config.json.4242").write_text("{")  # killed while it wrote its first file
        assert lock.holds_nothing(tmp_path / "new")
        (tmp_path / "new" / "x").write_text("")
        assert not lock.holds_nothing(tmp_path / "new")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for place, why in (("file", "File exists"), ("file/run", "Not a directory")):
        words = rf"{place} cannot be written \({why}\); name another folder"
        with pytest.raises(UserError, match=words), only_writer(tmp_path / place, "is training"):
            pass
