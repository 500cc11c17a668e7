"""The question-answering command: grid, stage 1, tables, pictures, and going on where it stopped."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.avqa import build, run
from experiments.avqa import data as qa_data
from experiments.sweep import published
from iemf.avqa.accuracy import COLUMNS
from iemf.avqa.stages import AnswerStage
from iemf.errors import UserError
from iemf.training import RunFolder, Trainer, checkpoint
from tests.experiments import helpers
from tests.experiments.avqa import run_of
from tests.iemf.avqa.test_music_avqa import SOUND, tree

SMALL = ["--epochs", 1, "--match-epochs", 1, "--width", 8, "--batch-size", 64, "--jobs", 1, "--no-progress"]
pytestmark = pytest.mark.usefixtures("digits_qa")


def test_a_grid_trains_tabulates_and_repeats_nothing(call, digits_qa, tmp_path, monkeypatch):
    options = ["--networks", "ann", "snn", "--variants", "iemf", "--blind", "--seeds", 7, "--cache", digits_qa, *SMALL]
    options += ["--out", tmp_path]
    code, out, err = call("avqa", *options)
    assert code == 0, err
    assert "7 runs: 0 finished, 7 to go" in out
    table = (tmp_path / "table.md").read_text()
    assert table.strip() in out
    for words in ("| baseline | ANN     | IEMF ", "| ST-AVQA  | SNN     | IEMF ", "| question alone", "AV: when",
                  "IEMF − best blind"):  # fmt: skip
        assert words in table
    content = json.loads((tmp_path / "results.json").read_text())
    cell = next(c for c in content["cells"] if (c["network"], c["model"], c["variant"]) == ("snn", "st-avqa", "iemf"))
    assert set(cell["test_accuracy_by_type"]) == set(COLUMNS)
    assert 0 < cell["xi"]["mean"] < 2
    assert "data_digest" in content["settings"]
    for name in ("accuracy_by_type.png", "scenes.png"):
        assert (tmp_path / name).stat().st_size > 20000
    runs = {path.name for path in (tmp_path / "runs").iterdir()}
    assert len(runs) == 8
    assert {"grounding-seed7", "ann-baseline-vanilla-no-audio-no-visual-seed7"} <= runs
    monkeypatch.setattr(Trainer, "fit", None)  # nothing may be trained again
    code, out, err = call("avqa", *options)
    assert code == 0, err
    assert "7 finished, 0 to go" in out
    assert (tmp_path / "table.md").read_text() == table


def test_stage_1_without_its_weights_is_not_finished(digits_qa, tmp_path):
    config = run_of(digits_qa, tmp_path / "st", model="st-avqa")
    run.train(config.grounding)
    path = RunFolder(config.grounding.out).best_checkpoint
    weights = checkpoint.load(path)["network"]
    path.unlink()
    assert not run.is_finished(config.grounding)
    run.train(config.grounding)
    assert all(torch.equal(value, weights[name]) for name, value in checkpoint.load(path)["network"].items())


def test_a_run_is_not_trained_on_other_data_than_it_says(digits_qa, tmp_path):
    config = replace(run_of(digits_qa, tmp_path), data_digest="another")
    with pytest.raises(UserError, match="were changed meanwhile"):
        run.train(config)
    assert not list(tmp_path.iterdir())


def test_runs_on_different_data_make_no_table(digits_qa, tmp_path):
    runs = [run_of(digits_qa, tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    for config, digest in zip(runs, ("one", "other"), strict=True):
        folder = RunFolder(config.out)
        folder.start(replace(config, data_digest=digest).stored())
        folder.results_file.write_text("{}")
    with pytest.raises(UserError, match=r"a and .*b were trained on different data"):
        run.with_digest(runs)


def test_a_table_needs_no_picture(call, digits_qa, tmp_path):
    copy = tmp_path / "cache"
    shutil.copytree(digits_qa, copy)
    options = ["--models", "baseline", "--variants", "vanilla", "--seeds", 0, *SMALL[:2], *SMALL[4:]]
    options += ["--cache", copy, "--out", tmp_path / "out"]
    assert call("avqa", *options)[0] == 0
    (copy / "test.npz").write_bytes(b"")
    qa_data.load.cache_clear()
    code, out, err = call("avqa", *options)
    assert code == 0, err
    assert "| baseline" in out
    assert "no picture of scenes" in err


def without_times(record):
    return {name: value for name, value in record.items() if not name.startswith("seconds")}


@pytest.mark.parametrize("recipe", ["paper", "released"])  # released: noise of a generator that outlives epochs
def test_killed_a_run_goes_on_to_the_same_end(digits_qa, tmp_path, monkeypatch, recipe):
    options = {"variant": "iemf", "seed": 3, "epochs": 3, "recipe": recipe}
    runs = [run_of(digits_qa, tmp_path / name, **options) for name in "ab"]
    expected = run.train(runs[0])
    validate = AnswerStage.validate
    count = []

    def stop(self, epoch):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return validate(self, epoch)

    monkeypatch.setattr(AnswerStage, "validate", stop)
    with pytest.raises(KeyboardInterrupt):
        run.train(runs[1])
    assert RunFolder(runs[1].out).results() is None
    monkeypatch.setattr(AnswerStage, "validate", validate)
    assert without_times(run.train(runs[1])) == without_times(expected)
    of_both = [[without_times(record) for record in RunFolder(config.out).metrics()] for config in runs]
    assert of_both[0] == of_both[1]
    assert len(of_both[0]) == 3
    first, second = (json.loads((config.out / "predictions.json").read_text()) for config in runs)
    assert first == second
    assert len(first) == len(build.build_data(runs[0]).test)


MUSIC = ["--models", "baseline", "--variants", "vanilla", "iemf", "--seeds", 0, "--epochs", 1, "--width", 8]


def music(root, out):
    return ["--dataset", "music-avqa", "--data-root", root, *MUSIC, "--no-progress", "--out", out]


def test_music_avqa_from_files_to_a_table_with_the_papers_numbers(call, tmp_path):
    tree(tmp_path / "data")
    code, out, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"))
    assert code == 0, err
    assert "answers that train never had, scored as wrong: 0 in val, 1 in test" in err
    assert "1 test answers never occur in train" in out
    assert f"{published.avqa()['st-avqa', 'iemf']['overall']:.2f}" in out
    assert [
        line for line in out.splitlines() if line.startswith("| readme of the code: ST-AVQA") and "| 70.71 |" in line
    ]
    config = json.loads((tmp_path / "out" / "runs" / "ann-baseline-iemf-seed0" / "config.json").read_text())
    assert next(iter(config.items())) == ("paper", "He et al. 2025, Table S5: 70.82 % overall")
    shutil.rmtree(tmp_path / "data")  # the table can be made again without the data
    code, out, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"))
    assert code == 0, err
    assert "2 finished, 0 to go" in out


def test_other_questions_are_another_run(call, tmp_path):
    tree(tmp_path / "data")
    assert call("avqa", *music(tmp_path / "data", tmp_path / "out"))[0] == 0
    path = tmp_path / "data" / "json" / "avqa-test.json"
    path.write_text(path.read_text().replace("nine", "one"))
    qa_data.load.cache_clear()  # as in a new process
    code, _, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"), "--variants", "vanilla", "joint", "iemf")
    assert code == 2
    assert "config.json has data_digest=" in err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root: (root / SOUND).unlink(), "00000002.npy missing: 3 videos are asked about"),
        (lambda root: (root / "json" / "avqa-val.json").write_text('[{"type": 1}]'), "avqa-val.json, item 0: type 1"),
        (lambda root: np.save(root / SOUND, np.zeros((60, 9), np.float32)), "is of shape [60, 9], expected [60, 128]"),
    ],
)
def test_bad_input_is_one_line(call, tmp_path, damage, words):
    tree(tmp_path / "data")
    damage(tmp_path / "data")
    qa_data.load.cache_clear()
    code, _, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"))
    assert code == 2
    assert words in err
    assert len([line for line in err.splitlines() if "error" in line]) == 1
    assert not (tmp_path / "out").exists()


def test_the_script_runs_every_row_of_table_s5(call, tmp_path):
    ((name, options),) = helpers.asked("avqa.sh", tmp_path / "here", "--dataset", "music-avqa")[0]
    code, _, err = call(name, *options)
    assert code == 2
    assert "--data-root None: --dataset music-avqa needs it" in err
    tree(tmp_path / "data")
    short = ["--epochs", 1, "--match-epochs", 1, "--width", 8, "--no-progress"]
    calls, done = helpers.asked("avqa.sh", tmp_path / "here", *short, DATA=tmp_path / "data", OUT=tmp_path / "out",
                                SEEDS=0)  # fmt: skip
    assert done.returncode == 0, done.stderr
    ((name, options),) = calls
    code, out, err = call(name, *options)
    assert code == 0, err
    assert "6 runs: 0 finished, 6 to go" in out
    assert "paper: ST-AVQA" in out
