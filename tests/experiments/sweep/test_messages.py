"""How a library's errors look on a command line."""

import io
import re
import typing
from dataclasses import fields
from pathlib import Path

import pytest

from experiments.sweep import command_line
from experiments.sweep.command_line import PROGRAMS
from experiments.sweep.options import Flag
from iemf.errors import UserError


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
        command_line.check_values(config)


@pytest.mark.parametrize(("encoding", "errors"), [("utf-8", "strict"), ("ascii", "backslashreplace")])
def test_a_message_about_a_name_of_any_bytes_can_be_printed(monkeypatch, encoding, errors):
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors, write_through=True)
    monkeypatch.setattr("sys.stderr", stream)
    assert command_line.fail("prepare", UserError("`out` caf\udce9 is no folder")) == 2
    assert stream.buffer.getvalue() == b"prepare: error: --out caf\\udce9 is no folder\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_option_without_its_value_is_named(call, program, tmp_path):
    """At the end of the line, and before another option; of several values none is too few."""
    config = command_line.configs()[program]
    flags = {f.name for f in fields(config) if f.type in (bool, Flag) or isinstance(f.default, bool)}
    asked = [f.name for f in fields(config) if f.name not in {*flags, "data_digest"}]
    of_runs = ["--runs", tmp_path]
    needed = {"prepare": ["crema-d"], "benchmark": ["lif"], "robustness": of_runs, "landscape": of_runs,
              "unimodal_gain": of_runs, "reliability": ["kills"]}  # fmt: skip
    needed = needed.get(program, [])
    for name in (name for name in asked if name not in ("dataset", "what") or not needed):
        option = "--" + name.replace("_", "-")
        last = ["--run" if program == "firing_rates" else "--out", tmp_path / "out"]
        for arguments in ([*needed, *last, option], [*needed, option, *last]):
            code, _, error = call(program, *arguments)
            assert (code, error.count("\n")) == (2, 1), (option, error)
            assert re.search(rf"{option}(?![\w-])", error), (option, error)
            assert "---" not in error
            assert error.startswith(f"{program}: error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dataset", ["crema-d", "kinetics-sounds", "urbansound8k-av", "folder"])
def test_prepare_without_a_source_says_what_it_is(call, tmp_path, dataset):
    code, _, error = call("prepare", dataset, "--out", tmp_path / "out")
    of = "of your own clips" if dataset == "folder" else f"that holds {dataset}"
    assert (code, error) == (2, f"prepare: error: --source is missing: the folder or archive {of} (docs/datasets.md)\n")
    assert not (tmp_path / "out").exists()
