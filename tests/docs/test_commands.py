"""Commands, options, scripts and files that the pages name exist, and the quickstart runs."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields

import pytest

from tests.conftest import ROOT
from tests.docs.pages import PAGES, README, blocks, inline
from tests.experiments import helpers


def commands(page: str) -> list[str]:
    """The lines of a page's bash blocks, comments and continued commands cut."""
    return [line for block in blocks("bash", PAGES[page]) for line in block.splitlines()]


def parse(command: str):
    """The config of a command of this toolkit, by its program's own options."""
    from experiments.sweep import command_line

    words = shlex.split(command, comments=True)
    if words[0] == "iemf":
        name, called = command_line.COMMANDS[words[1]], f"iemf {words[1]}"
        arguments = words[2:]
    else:
        name, called = words[2].removeprefix("experiments."), " ".join(words[:3])
        arguments = words[3:]
    return command_line.parse(command_line.configs()[name], arguments, called, command_line.PROGRAMS[name])


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_block_knows_its_options(page):
    for line in commands(page):
        if line.startswith(("python -m experiments.", "iemf ")):
            assert parse(line)


def test_there_are_commands_to_look_at():
    assert sum(line.startswith("python -m experiments.") for page in PAGES for line in commands(page)) >= 8


@pytest.mark.parametrize("page", PAGES)
def test_every_command_within_a_line_names_a_program_and_options_that_exist(page):
    """These may lack what is required; a required value is not an option that does not exist."""
    from experiments.sweep import command_line

    for code in inline(PAGES[page]):
        words = code.split()
        if words[0] == "iemf" and len(words) > 1:
            name = command_line.COMMANDS[words[1]]
            given = words[2:]
        elif code.startswith("python -m experiments."):
            name = words[2].removeprefix("experiments.")
            given = words[3:]
        else:
            continue
        known = options_of(command_line.configs()[name])
        assert {word for word in given if word.startswith("--")} <= known, code


def options_of(config: type) -> set[str]:
    """Every option of a program."""
    names = {field.name.replace("_", "-") for field in fields(config)}
    singular = {name.removesuffix("s") for name in names & {"networks", "methods", "models"}}
    return {f"--{word}{name}" for name in names | singular for word in ("", "no-")} | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_every_option_within_a_line_exists(page):
    from experiments.sweep import command_line

    known = set().union(*map(options_of, command_line.configs().values()))
    assert {code.split()[0] for code in inline(PAGES[page]) if code.startswith("--")} <= known


def test_every_command_is_in_the_readme():
    from experiments.sweep import command_line

    for command in command_line.COMMANDS:
        assert f"`iemf {command}" in README


@pytest.mark.parametrize("page", PAGES)
def test_every_script_is_there(page):
    for name in re.findall(r"bash (experiments/\w+\.sh|\.ci/\w+)", PAGES[page]):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"`(\w+\.sh)`", PAGES[page]):
        assert (ROOT / "experiments" / name).is_file(), name


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_in_a_line_is_there(page):
    """Files of one's own are told by the words before them."""
    own = {"iemf/balance/handicap.py"}
    for name in inline(PAGES[page]):
        if (
            re.fullmatch(r"(iemf|iemf_ann|iemf_snn|experiments|docs|examples|tests)(/[\w.]+)+/?", name)
            and name not in own
        ):
            assert (ROOT / name).exists(), name


def test_the_install_commands_name_extras_that_exist():
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    found = [extra for text in PAGES.values() for part in re.findall(r"\.\[([a-z0-9,]+)\]", text)
             for extra in part.split(",")]  # fmt: skip
    assert {"digits", "test", "docs"} <= set(found)
    for extra in found:
        assert f'"{extra}":' in source


def quickstart() -> list[str]:
    """What a newcomer types."""
    return next(block for block in blocks("bash") if "quickstart" in block).split("&& ")[1].split()


def test_the_quickstart_trains_8_runs_and_repeats_nothing(tmp_path):
    """What its script asks for, all 8 runs, cut to two short epochs and few digits; then again."""
    assert quickstart() == ["bash", "experiments/quickstart.sh"]
    short = ["--epochs", 2, "--width", 1, "--batch-size", 240, "--time-steps", 1, "--no-progress"]
    calls, done = helpers.asked("quickstart.sh", tmp_path / "here", *short, OUT=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    [(name, options)] = calls
    with helpers.fast(), helpers.pool_of_one(), helpers.few_digits():
        for message in ("8 to go", "8 finished, 0 to go"):
            code, out, error = helpers.call(name, *options)
            assert code == 0, error
            assert message in out
            for method in ("Concat", "MSLR"):
                assert out.count(f"| {method} ") == 2  # ANN and SNN
    for name in ("table.md", "results.json", "accuracy.png", "xi_over_epochs.png", "firing_rates.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0


def test_the_quickstart_as_a_newcomer_types_it(tmp_path):
    """The script itself, cut to one run, in processes of its own."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"OUT": str(tmp_path / "out"), "PATH": path}
    short = ["--epochs", "1", "--width", "1", "--batch-size", "500", "--methods", "concat", "--networks", "ann"]
    done = subprocess.run([*quickstart(), *short, "--iemf"], cwd=ROOT, env=environment, capture_output=True, text=True,
                          timeout=400)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 to go" in done.stdout
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8").strip() in done.stdout
