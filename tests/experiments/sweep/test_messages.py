"""How a library's errors look on a command line."""

import os
import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path

import pytest

from experiments.sweep import command_line
from iemf.errors import UserError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`data_root` /x is not a folder", "--data-root /x is not a folder"),
        ("is `source` right? name another `out`", "is --source right? name another --out"),
        ("prepare it first (`iemf prepare crema-d`)", "prepare it first (`iemf prepare crema-d`)"),
        ("`time_steps` 0; `/data/a` and `A` stay", "--time-steps 0; `/data/a` and `A` stay"),
        ("no field", "no field"),
    ],
)
def test_fields_become_options_and_nothing_else_does(text, shown):
    assert command_line.as_options(text) == shown


def test_an_error_is_one_line_with_options(capsys):
    worker = UserError("Traceback ...\n  raise\niemf.errors.UserError: `max_skipped` 0.1 is less")
    assert command_line.fail("prepare", worker) == 2
    assert capsys.readouterr().err == "prepare: error: --max-skipped 0.1 is less\n"


def paths():
    """(program, option) of every option that names a file or folder."""
    found = []
    for program, config in command_line.configs().items():
        hints = typing.get_type_hints(config)
        found += [(program, f.name) for f in fields(config) if Path in (hints[f.name], *typing.get_args(hints[f.name]))]
    return found


@pytest.mark.parametrize(("program", "name"), paths())
def test_a_path_that_is_not_utf8_is_one_line(program, name):
    config = object.__new__(command_line.configs()[program])
    for field in fields(config):
        object.__setattr__(config, field.name, Path("caf\udce9") if field.name == name else None)
    with pytest.raises(UserError, match=f"`{name}` caf\udce9 is not UTF-8; rename"):
        command_line.check_paths(config)


def test_a_message_about_a_name_of_any_bytes_can_be_printed():
    """To a real stream, in a locale of UTF-8 and in another."""
    code = "import sys; from experiments.sweep import command_line; from iemf.errors import UserError\n" \
           "sys.exit(command_line.fail('prepare', UserError('`out` caf\\udce9 é')))"  # fmt: skip
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True,
                              env=os.environ | {"PYTHONIOENCODING": encoding})  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith(b"prepare: error: --out caf\\udce9 ")
        assert done.stderr.count(b"\n") == 1
