"""Command lines from dataclasses; every error is one line and exit code 2."""

import contextlib
import io
import re
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

from iemf.errors import UserError

Config = TypeVar("Config")


def run(config_type: type[Config], main: Callable[[Config], None], program: str) -> None:
    """Parse the command line into ``config_type``, call ``main``, and exit.

    Exit codes: 0 done, 2 the user can mend it (one line on stderr), 130 interrupted, 143 asked to end; a defect shows
    its traceback.
    """
    # As an exception, so that programs end the processes that they started.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main(parse(config_type, sys.argv[1:], program))
    except UserError as error:
        sys.exit(fail(program, error))
    except KeyboardInterrupt:
        again = "with --resume" if program == "classification" else "again"
        units = {"prepare": "shards", "robustness": "evaluations", "continual": "tasks", "extract": "films"}
        kept = units.get(program, "epochs")
        print(f"{program}: interrupted; finished {kept} are kept, the same command {again} goes on", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)


def parse(config_type: type[Config], arguments: list[str], program: str) -> Config:
    """``config_type`` from a command line.

    Raises:
        UserError: an unknown option or value.
        SystemExit: code 0 after --help.
    """
    caught = io.StringIO()
    try:
        with contextlib.redirect_stderr(caught):
            return tyro.cli(config_type, args=arguments, prog=f"python -m experiments.{program}")
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{one_line(caught.getvalue())} (--help lists the options)") from None


def one_line(box: str) -> str:
    """The message in the framed, possibly coloured text that the parser prints."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip(" │╭╮╰╯─|") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Parsing error", "Missing", "For full helptext"))]
    lines = [line for line in lines if not line.startswith("Unrecognized options") or ":" in line]
    message = " ".join(lines).removeprefix("Value error ").removeprefix("Invalid choice ")
    # The parser lists every type it tried; the option and its value say enough.
    return re.sub(r"no type matching (\S+) could be instantiated from \['(.*?)'\].*", r"\2 is not one of \1", message)


def fail(program: str, error: Exception) -> int:
    """Print an error on one line; the exit code that goes with it."""
    # An error from a loader's worker carries that process's traceback; its last line is the message.
    message = str(error).strip().splitlines()[-1].removeprefix("iemf.errors.UserError: ")
    print(f"{program}: error: {as_options(message)}", file=sys.stderr)
    return 2


def as_options(text: str) -> str:
    """A library's message with its fields as options: "`data_root` /x" becomes "--data-root /x"."""
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda field: f"--{field[1].replace('_', '-')}", text)
