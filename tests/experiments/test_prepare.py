"""From official files to a table: prepare, validate, train and compare, on small trees with the faults of real ones."""

import json
import os

import pytest
from PIL import Image

from experiments.classification.build import build_data
from experiments.classification.options import RunConfig, resolve
from tests import official
from tests.experiments import helpers
from tests.preparing import SMALL, content, ids, rows, skipped

pytestmark = pytest.mark.usefixtures("here")


def train_and_compare(call, tmp_path, dataset, data, *options):
    """One epoch as ANN and as SNN; the table."""
    out = tmp_path / "compare"
    code, _, error = call(
        "compare", "--dataset", dataset, "--data-root", data, "--methods", "concat", "--variants", "iemf",
        "--seeds", 0, "--epochs", 1, "--width", 2, "--batch-size", 7, "--image-size", 32, "--seconds", 0.5,
        "--workers", 0, "--out", out, *options,
    )  # fmt: skip
    assert code == 0, error
    return (out / "table.md").read_text(), json.loads(
        (out / "runs" / "ann-concat-iemf-seed0" / "results.json").read_text()
    )


def test_crema_d_from_files_to_table(call, tmp_path):
    raw, out = tmp_path / "CREMA-D ü", tmp_path / "prepared"
    names = official.crema_d(raw)
    code, _, error = call("prepare", "crema-d", "--source", raw, "--out", out, *SMALL)
    assert (code, error.count("\n")) == (2, 1)
    assert "2 of 24 clips were skipped (8.3 %), more than --max-skipped 0.05" in error
    assert not (out / "manifest.json").exists()
    code, text, error = call("prepare", "crema-d", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.1)
    assert code == 0, error
    assert "train: 16 clips (published: 6698)" in text
    reasons = skipped(out)
    assert reasons.keys() == {"1000_DFA_ANG_XX", "1002_DFA_HAP_XX"}
    assert "1000_DFA_ANG_XX.flv cannot be decoded" in reasons["1000_DFA_ANG_XX"]
    assert "1002_DFA_HAP_XX.wav is empty" in reasons["1002_DFA_HAP_XX"]
    assert ids(out) == {split: [n for n in of_split if n not in reasons] for split, of_split in names.items()}
    with Image.open(out / "preview.png") as picture:
        assert picture.size[0] > 800
    table, results = train_and_compare(call, tmp_path, "crema-d", out, "--workers", 1)
    assert results["data"]["clips"] == {"train": 13, "test": 6, "val": 3}
    assert "paper: vanilla" in table
    assert "| 62.63" in table
    assert "| 64.65" in table
    assert table.count("| Concat") == 2


def test_crema_d_without_lists_draws_a_split_of_one_tenth(call, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    official.crema_d(raw, per_class=4, lists=False)
    code, _, error = call("prepare", "crema-d", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.5)
    assert code == 0, error
    assert "my notes (1)" in skipped(out)
    assert "does not tell an emotion" in skipped(out)["my notes (1)"]
    drawn = [row["split"] for row in rows(out / "skipped.csv")] + [split for split, of in ids(out).items() for _ in of]
    assert drawn.count("test") == 1  # a tenth of 12: the stray file has no part in it
    other = tmp_path / "other"
    call("prepare", "crema-d", "--source", raw, "--out", other, *SMALL, "--max-skipped", 0.5)
    assert content(other) == content(out)


def test_kinetics_sounds_from_films_and_from_frames_to_table(call, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    names = official.kinetics_sounds(raw)
    code, _text, error = call("prepare", "kinetics-sounds", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.1)
    assert code == 0, error
    assert json.loads((out / "manifest.json").read_text())["classes"] == [
        "playing banjo",
        "café chatter",
        "tap dancing",
    ]
    assert skipped(out).keys() == {"clip2000002_000002_000012", "clip2000006_6"}
    assert ids(out) == {split: [n for n in of_split if n not in skipped(out)] for split, of_split in names.items()}
    table, results = train_and_compare(call, tmp_path, "kinetics-sounds", out, "--frames", 2)
    assert results["data"]["clips"] == {"train": 11, "test": 5, "val": 3}
    assert "| 51.58" in table
    assert "| 54.97" in table


def test_urbansound8k_av_from_pairs_to_table(call, tmp_path):
    """By the scripts of Tables S2 and S3."""
    raw, out = tmp_path / "raw", tmp_path / "data" / "urbansound8k-av"
    official.urbansound8k_av(raw)
    code, text, error = call("prepare", "urbansound8k-av", "--source", raw, "--out", out, "--jobs", 1, "--no-progress",
                             "--max-skipped", 0.1)  # fmt: skip
    assert code == 0, error
    assert "total: 27 clips (published: 8732)" in text
    assert skipped(out).keys() == {"car_horn/3-3-0-0", "dog_bark/4-3-0-1", "siren/5-3-0-2"}
    assert "holds no 5-3-0-2.jpg" in skipped(out)["siren/5-3-0-2"]
    found = ids(out)
    assert {"siren/träger 0", "dog_bark/100 (2);-x"} <= {*found["train"], *found["test"]}
    small = {"DATA": out.parent, "DATASETS": "urbansound8k-av", "METHODS": "concat", "VARIANTS": "iemf", "SEEDS": "0"}
    for network, paper in (("ann", 97.86), ("snn", 97.79)):
        done, _ = script(
            call, tmp_path, network, small | {"OUT": tmp_path / "runs"}, "--epochs", 1, "--width", 2,
            "--image-size", 32, "--spectrogram-size", 64, "--batch-size", 7, "--workers", 0,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        results = tmp_path / "runs" / "urbansound8k-av" / network
        assert f"| {paper}" in (results / "table.md").read_text()
        config = json.loads((results / "runs" / f"{network}-concat-iemf-seed0" / "config.json").read_text())
        assert next(iter(config)) == "paper"
        assert config["paper"].endswith(f": {paper} % top-1")


def script(call, folder, network, environment, *options):
    """What a script of a table asks for is done in this process; (the script's process, what the programs print)."""
    calls, done = helpers.asked(f"classification_{network}.sh", folder / "here", *options, **environment)
    told = ""
    for name, arguments in calls:
        code, out, error = call(name, *arguments)
        assert code == 0, error
        told += out
    return done, told


def test_the_tables_scripts_want_prepared_data_or_print_their_plan(call, tmp_path):
    done, _ = script(call, tmp_path, "ann", {})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "DATA is not set" in done.stderr
    done, _ = script(call, tmp_path, "snn", {"DATA": tmp_path, "OUT": tmp_path / "runs"})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path}/crema-d is not prepared: python -m experiments.prepare crema-d" in done.stderr
    environment = {"DRY_RUN": 1, "OUT": tmp_path / "runs", "SEEDS": "0 1", "DATASETS": "kinetics-sounds"}
    done, out = script(call, tmp_path, "ann", environment, "--width", 2, "--image-size", 32, "--seconds", 0.5)
    assert done.returncode == 0, done.stderr
    assert "== kinetics-sounds" in done.stdout
    for words in ("| OGM-GE | ANN     | iemf    | 64.61 ", "kinetics-sounds: 24 runs, 0 of them"):
        assert words in out
    assert not (tmp_path / "runs").exists()


def test_ones_own_videos_prepared_give_what_the_raw_tree_gives(call, tree, tmp_path):
    """`folder` takes either; sound agrees to the 16-bit step, pictures to JPEG's loss."""
    out = tmp_path / "prepared"
    assert call("prepare", "folder", "--source", tree, "--out", out, *SMALL)[0] == 0
    options = {"dataset": "folder", "seconds": 0.5, "image_size": 32}
    raw, prepared = (build_data(resolve(RunConfig(data_root=root, **options))) for root in (tree, out))
    assert raw.classes == prepared.classes
    for split in ("train", "val", "test"):
        a, b = getattr(raw, split), getattr(prepared, split)
        assert [a.source.labels[row] for row in a.rows] == [b.source.labels[row] for row in b.rows]
    one, other = raw.test[3], prepared.test[3]
    assert (one.audio - other.audio / 32767).abs().max() < 1 / 32767
    assert (one.visual.float() - other.visual.float()).abs().mean() < 12


def test_what_a_tree_holds_beside_its_clips_is_said(call, tree, tmp_path):
    """By prepare and by a sweep; clips that are none are counted among the skipped."""
    (tree / "__MACOSX").mkdir()
    (tree / "train" / "low" / "clip 0 é.png").rename(tree / "train" / "low" / "alone.png")
    (tree / "train" / "low" / "clip 1 é.wav").rename(tree / "train" / "low" / "clip 1 é.mid")
    twin = tree / "test" / "low" / "clip 0 é.wav"
    twin.write_bytes((tree / "train" / "low" / "clip 2 é.wav").read_bytes())
    out = tmp_path / "prepared"
    command = ("prepare", "folder", "--source", tree, "--out", out, *SMALL)
    code, _, error = call(*command)
    assert code == 2
    assert "3 of 23 clips were skipped" in error
    code, _, error = call(*command, "--max-skipped", 0.2)
    assert code == 0, error
    assert "prepare: 1 left by systems are ignored: __MACOSX 1\n" in error
    assert "prepare: 1 of 12 files in test are in train too, byte for byte" in error
    assert skipped(out).keys() == {"alone", "clip 0 é", "clip 1 é"}
    (tree / "train" / "low" / "alone.png").rename(tree / "train" / "low" / "clip 0 é.png")
    (tree / "train" / "low" / "clip 1 é.mid").rename(tree / "train" / "low" / "clip 1 é.wav")
    options = ("--dataset", "folder", "--data-root", tree, "--width", 2, "--image-size", 32, "--seconds", 0.2,
               "--epochs", 1, "--workers", 0)  # fmt: skip
    code, _, error = call("compare", *options, "--methods", "concat", "--variants", "joint", "--seeds", 0, 1,
                          "--networks", "ann", "--out", tmp_path / "out")  # fmt: skip
    assert code == 0, error
    assert error.count("1 left by systems are ignored") == 1
    results = json.loads((tmp_path / "out" / "runs" / "ann-concat-joint-seed1" / "results.json").read_text())
    assert len(results["data"]["remarks"]) == 2


def test_names_that_are_not_utf8_never_end_in_a_traceback(call, tree, tmp_path):
    os.rename(tree / "train" / "low", os.fsencode(tree / "train") + b"/l\xf6w")
    code, _, error = call("prepare", "folder", "--source", tree, "--out", tmp_path / "out", *SMALL)
    assert (code, error.count("\n")) == (2, 1)
    assert "train holds a class 'l\\udcf6w' whose name is not UTF-8; rename the folder" in error
    code, _, error = call("prepare", "folder", "--source", tree, "--out", tmp_path / "\udce9", *SMALL)
    assert (code, error.count("\n")) == (2, 1)
    assert f"--out {tmp_path}/\\udce9 is not UTF-8" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["crema-d"], ["--source is missing"]),
        (["crema-d", "--source", "/nowhere"], ["/nowhere does not exist"]),
        (["crema-d", "--source", "EMPTY"], ["holds no folder AudioWAV"]),
        (["kinetics-sounds", "--source", "EMPTY"], ["my_train.txt", "--lists"]),
        (["kinetics-sounds", "--source", "EMPTY", "--split-seed", 1], ["--split-seed 1"]),
        (["urbansound8k-av", "--source", "EMPTY"], ["holds no folder Dataset_v3_sound"]),
        (["urbansound8k-av", "--source", "EMPTY", "--lists", "EMPTY"], ["has no official lists"]),
        (["folder", "--source", "EMPTY"], ["train is not a folder"]),
        (["crema-d", "--source", "EMPTY", "--quality", 99], ["--quality 99 must lie between 1 and 95"]),
        (["crema-d", "--validate"], ["manifest.json is missing", "`iemf prepare crema-d`"]),
        (["crema-c"], ["crema-c"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(call, tmp_path, arguments, words):
    (tmp_path / "empty").mkdir()
    arguments = [tmp_path / "empty" if argument == "EMPTY" else argument for argument in arguments]
    code, _, error = call("prepare", *arguments, "--out", tmp_path / "out")
    assert (code, error.count("\n")) == (2, 1), error
    for word in words:
        assert word in error
    assert not (tmp_path / "out").exists()


def test_the_target_may_be_bad_too(call, tmp_path):
    raw = tmp_path / "raw"
    official.urbansound8k_av(raw, per_class=6)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("")
    for out, word in ((tmp_path / "full", "not prepared here"), (tmp_path / "file" / "x", "cannot be written"),
                      ("/proc/nothing/here", "cannot be written")):  # fmt: skip
        code, _, error = call("prepare", "urbansound8k-av", "--source", raw, "--out", out, *SMALL)
        assert (code, error.count("\n")) == (2, 1)
        assert word in error
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_validate_finds_damage_and_what_is_missing(call, prepared):
    command = ("prepare", "urbansound8k-av", "--out", prepared, "--validate", "--no-progress")
    code, text, error = call(*command)
    assert code == 0, error
    assert "as written" in text
    assert "missing: " in text
    assert "(published: 8732)" in text
    path = prepared / "shards" / "train-00000.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    assert "train-00000.arrow is damaged" in call(*command)[2]
    path.write_bytes(whole[:-1])
    assert f"has {len(whole) - 1} bytes, not {len(whole)}" in call(*command)[2]
    path.unlink()
    code, _, error = call(*command)
    assert (code, error.count("\n")) == (2, 1)
    assert "train-00000.arrow is missing" in error


def test_another_data_sets_or_forms_folder_is_refused(call, prepared, tmp_path):
    raw = tmp_path / "raw"
    code, _, error = call("prepare", "urbansound8k-av", "--source", raw, "--out", prepared, *SMALL, "--seconds", 1)
    assert code == 2
    assert "plan.json has form" in error
    code, _, error = call("prepare", "crema-d", "--out", prepared, "--validate")
    assert code == 2
    assert "holds urbansound8k-av, not crema-d" in error
    run_options = ("--data-root", prepared, "--out", tmp_path / "run", "--no-progress")
    code, _, error = call("classification", "--dataset", "crema-d", *run_options)
    assert code == 2
    assert "holds urbansound8k-av, not crema-d" in error
    code, _, error = call("classification", "--dataset", "urbansound8k-av", *run_options, "--seconds", 5)
    assert code == 2
    assert "prepared with 4 s of sound" in error
    code, _, error = call("classification", "--dataset", "crema-d", "--data-root", raw, "--out", tmp_path / "run")
    assert code == 2
    assert "manifest.json is missing; prepare it first (`iemf prepare crema-d`)" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("line", ["../../etc/passwd,ANG", "/etc/passwd,ANG", "1000_DFA_ANG_XX/../x,ANG", "..,ANG"])
def test_a_name_in_a_list_cannot_reach_outside(call, tmp_path, line):
    raw, out = tmp_path / "raw", tmp_path / "out"
    official.crema_d(raw, per_class=3)
    with (raw / "train.csv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    code, _, error = call("prepare", "crema-d", "--source", raw, "--out", out, *SMALL)
    assert (code, error.count("\n")) == (2, 1)
    assert "train.csv line 4 is not a clip" in error
    assert not out.exists()


def test_a_name_that_is_not_utf8_is_skipped_by_name(call, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    official.urbansound8k_av(raw, per_class=6)
    for folder, suffix in (("Dataset_v3_sound", ".wav"), ("Dataset_v3_vision", ".jpg")):
        path = raw / folder / "siren"
        os.rename(path / f"4-3-0-2{suffix}", os.fsencode(path) + b"/caf\xe9" + suffix.encode())
    code, _, error = call("prepare", "urbansound8k-av", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.5)
    assert code == 0, error
    reason = next(reason for clip, reason in skipped(out).items() if "caf" in clip)
    assert "'siren/caf\\udce9' is not UTF-8; rename the file" in reason


def test_a_split_without_clips_is_refused(call, tmp_path):
    raw = tmp_path / "raw"
    official.crema_d(raw, per_class=4)
    (raw / "test.csv").write_text("")
    code, _, error = call("prepare", "crema-d", "--source", raw, "--out", tmp_path / "out", *SMALL, "--max-skipped", 1)
    assert (code, error.count("\n")) == (2, 1)
    assert "no clip is left in test" in error


def test_git_lfs_pointers_are_recognised(call, tmp_path):
    raw = tmp_path / "raw"
    official.crema_d(raw, per_class=3)
    for path in (raw / "VideoFlash").iterdir():
        path.write_text(official.GIT_LFS)
    code, _, error = call("prepare", "crema-d", "--source", raw, "--out", tmp_path / "out", *SMALL)
    assert code == 2
    assert "is a Git LFS pointer, not the file itself; run git lfs pull" in error
