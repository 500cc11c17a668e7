"""How a library's errors look on a command line."""

import pytest

from experiments.sweep import command_line
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
