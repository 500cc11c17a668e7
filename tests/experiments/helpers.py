"""What the tests of the programs share: how a program is called, a pool without processes, data cut down, scripts."""

import contextlib
import functools
import gc
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch

from experiments.avqa import data as qa_data
from experiments.avqa import encoders
from experiments.classification import robustness, surroundings
from experiments.continual import build as continual_build
from experiments.reliability.programs import SCENES, SPLITS, in_this_process
from experiments.sweep import command_line, execution
from iemf.avqa import av_digits_qa
from iemf.data.sets import av_digits
from tests.conftest import ROOT


def call(program, *arguments):
    """Run a program of the table with these arguments; (exit code, stdout, stderr)."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command_line.run_program(program, list(map(str, arguments)))
        except SystemExit as stop:
            code = stop.code or 0
    return code, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def pool_of_one() -> Iterator[None]:
    """Sweeps and evaluations train in this process."""
    with (
        mock.patch.object(execution, "in_processes", in_this_process),
        mock.patch.object(robustness, "in_processes", in_this_process),
    ):
        yield


def forget() -> None:
    """What a process keeps of data that it has read."""
    for cache in (continual_build.load_data, qa_data.load, robustness.test_data, surroundings.samples):
        cache.cache_clear()


@contextlib.contextmanager
def few_digits() -> Iterator[None]:
    """AV-Digits, and what is made of it, with few samples a digit."""
    forget()
    with mock.patch.dict(av_digits.SPLIT_PER_DIGIT, SPLITS):
        yield
    forget()


@contextlib.contextmanager
def few_scenes() -> Iterator[None]:
    """av-digits-qa of few scenes, by encoders of one epoch."""
    with mock.patch.object(encoders, "EPOCHS", 1), mock.patch.dict(av_digits_qa.SCENES, SCENES):
        yield


@contextlib.contextmanager
def fast() -> Iterator[None]:
    """One thread, as a second only waits for networks as small as these; and the digits parsed once."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.freeze()  # Accelerate collects garbage after every task, and all imported modules would be searched each time
    with (
        mock.patch.object(av_digits, "load_images", functools.cache(av_digits.load_images)),
        mock.patch.object(av_digits, "load_sounds", functools.cache(av_digits.load_sounds)),
    ):
        yield
    gc.unfreeze()
    torch.set_num_threads(threads)


def asked(script, folder: Path, *arguments, **variables):
    """Run a script of ours with a stand-in for python; (the programs it calls with their arguments, the process).

    Args:
        folder: for the stand-in, and where the caller is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\037" "$@"\necho\n')
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", ROOT / "experiments" / script, *map(str, arguments)], capture_output=True, text=True, timeout=60,
        cwd=folder, env=environment | {name: str(value) for name, value in variables.items()},
    )  # fmt: skip
    lines = [line.split("\037")[:-1] for line in done.stdout.splitlines() if "\037" in line]
    assert all(line[:1] == ["-m"] for line in lines), lines
    return [(line[1].removeprefix("experiments."), line[2:]) for line in lines], done


def rows_of(table):
    """The cells of a Markdown table, its two head lines left out."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
