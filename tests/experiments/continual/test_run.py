"""The class-incremental command: grid, table, pictures, and going on where it stopped."""

import json
import shutil

import numpy as np
import pytest

from experiments.continual import build, run
from experiments.continual.options import RunConfig, resolve
from experiments.continual.run import ContinualConfig
from experiments.sweep import published
from iemf.continual import av_digits_ci
from iemf.continual.benchmarks import BENCHMARKS
from iemf.errors import UserError
from iemf.training import RunFolder, Trainer
from tests import released_features
from tests.experiments import helpers

SOUND = "audio_pretrained_feature/audio_pretrained_feature_dict.npy"
SMALL = {"epochs": 1, "features": 8, "progress": False}
SHORT = ["--epochs", 1, "--features", 8, "--no-progress"]

pytestmark = pytest.mark.usefixtures("small")


def test_a_grid_trains_tabulates_and_repeats_nothing(tmp_path, capsys, monkeypatch):
    config = ContinualConfig(**SMALL, networks=("ann", "snn"), methods=("lwf", "av-cil"), variants=("joint", "iemf"),
                             seeds=(0,), out=tmp_path)  # fmt: skip
    run.main(config)
    table = (tmp_path / "table.md").read_text()
    assert table.strip() in capsys.readouterr().out
    for words in ("| LwF    | ANN", "| AV-CIL | SNN", "AFR: IEMF − joint", "one seed a cell"):
        assert words in table
    cell = next(c for c in json.loads((tmp_path / "results.json").read_text())["cells"] if c["variant"] == "iemf")
    assert [len(row) for row in cell["accuracies"][0]] == [1, 2, 3, 4, 5]
    assert 0 < cell["xi"]["mean"] < 2
    for name in ("average_accuracy.png", "accuracy_and_forgetting.png"):
        assert (tmp_path / name).stat().st_size > 10000
    monkeypatch.setattr(Trainer, "fit", None)  # nothing may be trained again
    run.main(config)
    assert (tmp_path / "table.md").read_text() == table


def test_a_folder_of_other_options_is_refused(tmp_path):
    options = {**SMALL, "methods": ("lwf",), "variants": ("vanilla",), "seeds": (0,), "out": tmp_path}
    run.main(ContinualConfig(**options))
    with pytest.raises(UserError, match=r"config\.json has lr=0\.001, this run 0\.01"):
        run.main(ContinualConfig(**options, lr=0.01))


def test_the_window_of_released_reaches_the_loop(tmp_path, monkeypatch):
    """Of every task's 21 epochs the last alone; two tasks of few samples."""
    monkeypatch.setattr(av_digits_ci, "TASKS", 2)
    build.load_data.cache_clear()
    config = resolve(RunConfig(recipe="released", variant="iemf", epochs=21, batch_size=300, features=4, out=tmp_path,
                               progress=False))  # fmt: skip
    run.train(config)
    build.load_data.cache_clear()
    records = RunFolder(tmp_path).metrics()
    assert len(records) == 42
    assert {(record["task"], record["epoch"]) for record in records if record["xi"] is not None} == {(0, 20), (1, 20)}


def public(tmp_path, name="ave-ci"):
    released_features.write(tmp_path / name, name, hdf5=name != "ave-ci")
    return ["--dataset", name, "--data-root", tmp_path / name, *SHORT]


def test_a_public_benchmark_from_files_to_a_table_with_the_papers_numbers(call, tmp_path):
    options = [*public(tmp_path), "--methods", "lwf", "av-cil", "--variants", "vanilla", "iemf", "--seeds", 0, "--out",
               tmp_path / "out"]  # fmt: skip
    code, out, err = call("continual", *options)
    assert code == 0, err
    assert "ave-ci has 84/28/28 samples (train/val/test), published are 3294/391/394" in err
    for words in ("paper, AIA: vanilla → IEMF", "61.86 → 61.94", "24.31 → 20.87", "recipe paper, 1 epochs a task, sgd"):
        assert words in out
    config = json.loads((tmp_path / "out" / "runs" / "ann-av-cil-iemf-seed0" / "config.json").read_text())
    assert next(iter(config.items())) == ("paper", "He et al. 2025, Table S4: AIA 61.94 %, AFR 20.87 %")
    shutil.rmtree(tmp_path / "ave-ci")  # the table can be made again without the data
    code, again, err = call("continual", *options)
    assert code == 0, err
    assert "4 finished, 0 to go" in again


def test_a_run_is_not_gone_on_with_on_other_features(call, tmp_path):
    options = [*public(tmp_path), "--methods", "lwf", "--variants", "iemf", "--out", tmp_path / "out"]
    assert call("continual", *options, "--seeds", 0)[0] == 0
    path = tmp_path / "ave-ci" / "all_classId_vid_dict.npy"
    content = np.load(path, allow_pickle=True).item()
    content["train"][0].reverse()
    np.save(path, content)
    build.load_data.cache_clear()  # as in a new process
    code, _, err = call("continual", *options, "--seeds", 0, 1)
    assert code == 2
    assert "config.json has data_digest=" in err


@pytest.mark.parametrize(
    ("damage", "options", "words"),
    [
        (SOUND, [], "has no sound of 'val3_0' that the lists name"),
        (None, ["--tasks", 3], "28 classes do not divide into 3 tasks"),
        (None, ["--memory", 20, "--methods", "lwf", "ssil"], "--memory 20 is smaller than the 21 old classes"),
        (None, ["--dataset", "k-s-ci"], "lists 28 classes, k-s-ci has 30"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(call, tmp_path, damage, options, words):
    arguments = [*public(tmp_path), "--variants", "vanilla", "--seeds", 0, *options, "--out", tmp_path / "out"]
    if damage:
        content = np.load(tmp_path / "ave-ci" / damage, allow_pickle=True).item()
        del content["val3_0"]
        np.save(tmp_path / "ave-ci" / damage, content)
    code, _, err = call("continual", *arguments)
    assert code == 2
    assert words in err
    assert len([line for line in err.splitlines() if "error" in line]) == 1
    assert not (tmp_path / "out").exists()


def script(folder, *arguments, **variables):
    """What the script asks for is done in this process: (the process, what the programs print)."""
    calls, done = helpers.asked("continual.sh", folder, *arguments, **variables)
    out = ""
    for name, options in calls:
        code, printed, err = helpers.call(name, *options)
        assert code == 0, err
        out += printed
    return done, out


def test_the_script_ends_with_a_table_and_two_pictures(tmp_path):
    done, out = script(tmp_path / "here", *SHORT, "--batch-size", 300, OUT=tmp_path, SEEDS=0)
    assert done.returncode == 0, done.stderr
    for method in ("LwF", "SSIL", "AV-CIL"):
        assert f"| {method}" in out
    assert {path.name for path in (tmp_path / "av-digits-ci").glob("[!.]*")} == {
        "table.md", "results.json", "average_accuracy.png", "accuracy_and_forgetting.png", "runs",
    }  # fmt: skip
    assert len(list((tmp_path / "av-digits-ci" / "runs").iterdir())) == 6


def test_the_script_runs_every_row_of_table_s4(tmp_path):
    for name in BENCHMARKS:
        public(tmp_path / "data", name)
    short = ["--epochs", 1, "--features", 4, "--batch-size", 500, "--no-progress"]
    done, out = script(tmp_path / "here", *short, DATA=tmp_path / "data", OUT=tmp_path / "out", SEEDS=0,
                       VARIANTS="iemf")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("==")] == [f"== {name}" for name in BENCHMARKS]
    cells = [f"{numbers['lwf', 'vanilla'].accuracy:.2f} → " for numbers in map(published.continual, BENCHMARKS)]
    assert len(set(cells)) == 3
    for cell in cells:
        assert cell in out
    missing = helpers.asked("continual.sh", tmp_path / "here", DATA=tmp_path, DATASETS="ave-ci k-s-ci")[1]
    assert missing.returncode == 2
    assert "ave-ci is missing: make its features with python -m experiments.extract" in missing.stderr
    assert helpers.asked("continual.sh", tmp_path / "here", DATASETS="ave-ci")[1].returncode == 2
