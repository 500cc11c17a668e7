"""From films to features to a trained run; everything that can be wrong on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from iemf.continual import benchmarks
from iemf.features.resnet_maps import ResNetMaps
from iemf.features.vggish import VGGish
from tests.conftest import ROOT
from tests.iemf.features.test_encoders import SMALL, save_audio_mae, save_video_mae
from tests.media import write_timed, write_video

COUNTS = {"train": 2, "val": 1, "test": 1}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Small encoders with random weights, as local folders."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        "video": save_video_mae(folder / "video", image_size=32, num_frames=16, **SMALL),
        "audio": save_audio_mae(folder / "audio", depth=1),
    }


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """AVE-CI's 28 classes in films of half a second, each with a tone of its own, in folders of their splits."""
    folder = tmp_path_factory.mktemp("films")
    videos = {s: {c: [f"{s}{c}_{i}" for i in range(n)] for c in range(28)} for s, n in COUNTS.items()}
    np.save(folder / "all_classId_vid_dict.npy", videos)
    np.save(folder / "category_encode_dict.npy", {f"class {c}": c for c in range(28)})
    names = [(split, name) for split, by_class in videos.items() for part in by_class.values() for name in part]
    for number, (split, name) in enumerate(names):
        write_video(folder / "videos" / split / f"{name}.mp4", 0.4, 200 + 50 * number, (32, 32), 10, number % 3)
    return folder


def options(films, weights, out):
    return ["--task", "continual", "--dataset", "ave-ci", "--source", films / "videos", "--lists", films, "--video-mae",
            weights["video"], "--audio-mae", weights["audio"], "--workers", 0, "--out", out,
            "--no-progress"]  # fmt: skip


@pytest.fixture(scope="module")
def copied(films, tmp_path_factory):
    """A copy of the films by hard links, for a test to damage."""

    def copy():
        folder = tmp_path_factory.mktemp("copy")
        subprocess.run(["cp", "-rl", f"{films}/.", str(folder)], check=True)
        return folder

    return copy


@pytest.fixture(scope="module")
def extracted(call, films, weights, tmp_path_factory):
    """(the features of all films, what the program printed)."""
    out = tmp_path_factory.mktemp("features") / "x"
    code, told, err = call("extract", *options(films, weights, out))
    assert code == 0, err
    return out, told


def test_from_films_to_a_table(call, here, films, weights, extracted, tmp_path):
    features, out = extracted
    assert "112 clips of ave-ci, 0 left out" in out
    data = benchmarks.load("ave-ci", features)
    assert data.train.visual.shape == (56, 8, 4, 12)
    assert data.train.audio.shape == (56, 192)
    assert data.train.audio.std(0).max() > 0
    before = {path: path.stat().st_mtime_ns for path in features.iterdir()}
    code, out, _ = call("extract", *options(films, weights, features))  # again: nothing to do
    assert code == 0
    assert all(path.stat().st_mtime_ns == before[path] for path in features.glob("*.npy"))
    code, out, err = call("continual", "--dataset", "ave-ci", "--data-root", features, "--epochs", 1,
                          "--methods", "av-cil", "--variants", "iemf", "--seeds", 0, "--out", tmp_path / "run",
                          "--no-progress")  # fmt: skip
    assert code == 0, err
    assert "| AV-CIL" in out


def test_rows_are_the_films_own(call, films, weights, extracted, tmp_path):
    """Batches of other sizes, other processes: the same features, in the rows of their clips."""
    folders = extracted[0], tmp_path / "y"
    assert call("extract", *options(films, weights, folders[1]), "--batch-size", 5, "--workers", 2)[0] == 0
    index = json.loads((folders[0] / "index.json").read_text())
    assert index["ids"][57] == "val1_0"
    a, b = (torch.from_numpy(np.load(folder / "audio.npy")).float() for folder in folders)
    assert torch.cdist(a, b).argmin(1).tolist() == list(range(112))
    a, b = (np.load(folder / "visual.npy") for folder in folders)
    np.testing.assert_allclose(a, b, atol=5e-3)
    assert np.abs(a[56] - a[57]).max() > 0.1  # films of other colours


def test_killed_it_goes_on_and_ends_the_same(call, films, weights, tmp_path):
    arguments = [str(option) for option in options(films, weights, tmp_path / "x")]
    command = [sys.executable, "-m", "experiments.extract", *arguments, "--batch-size", "2"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as this process: sums of floats depend on it
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=one_thread)
    journal = tmp_path / "x" / "journal.bin"
    until = time.monotonic() + 60
    while not (journal.exists() and 0 < sum(journal.read_bytes()) < 100):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "x" / "index.json").exists()
    done = np.frombuffer(journal.read_bytes(), np.uint8).copy()
    before = np.load(tmp_path / "x" / "visual.npy")[done == 1]
    for out in "xy":
        code, _, err = call("extract", *options(films, weights, tmp_path / out), "--batch-size", 2)
        assert code == 0, err
    for name in ("audio.npy", "visual.npy", "index.json", "extraction.json"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes(), name
    assert np.array_equal(np.load(tmp_path / "x" / "visual.npy")[done == 1], before)


def test_missing_and_broken_films(call, copied, weights, tmp_path):
    films = copied()
    for name in ("train/train3_0", "train/train4_1"):
        (films / "videos" / f"{name}.mp4").unlink()
    code, _, err = call("extract", *options(films, weights, tmp_path / "x"))
    assert code == 2
    assert "has no film of: 'train3_0' and 1 more of 112 listed clips" in err
    assert "--max-missing 0.02" in err
    assert not (tmp_path / "x").exists()
    broken = films / "videos" / "train" / "train5_0.mp4"
    broken.unlink()
    broken.write_bytes(b"no film")
    code, _, err = call("extract", *options(films, weights, tmp_path / "x"), "--max-missing", 0.02)
    assert code == 2
    assert "train5_0.mp4 cannot be decoded" in err
    assert not (tmp_path / "x" / "index.json").exists()
    code, out, err = call("extract", *options(films, weights, tmp_path / "x"), "--max-missing", 0.03)
    assert code == 0, err
    assert "109 clips of ave-ci, 3 left out" in out
    assert json.loads((tmp_path / "x" / "index.json").read_text())["missing"] == ["train3_0", "train4_1", "train5_0"]
    assert len(benchmarks.load("ave-ci", tmp_path / "x").train) == 53
    (films / "videos" / "train" / "train3_1.mp4").unlink()
    code, _, err = call("extract", *options(films, weights, tmp_path / "y"), "--max-missing", 0.1)
    assert code == 2
    assert "class 'class 3' has no sample in train" in err


def test_films_that_come_late_are_taken(call, films, copied, weights, tmp_path):
    """Gone or broken in a first, unfinished attempt, sound in the second."""
    copy = copied()
    gone, broken = copy / "videos" / "train" / "train3_0.mp4", copy / "videos" / "train" / "train5_0.mp4"
    gone.unlink()
    broken.unlink()
    broken.write_bytes(b"no film")
    assert call("extract", *options(copy, weights, tmp_path / "x"), "--max-missing", 0.01)[0] == 2
    assert list((tmp_path / "x" / "journal.bin").read_bytes()).count(2) == 1  # train3_0
    for path in (gone, broken):
        path.unlink(missing_ok=True)
        shutil.copy(films / "videos" / "train" / path.name, path)
    code, out, err = call("extract", *options(copy, weights, tmp_path / "x"))
    assert code == 0, err
    assert "112 clips of ave-ci, 0 left out" in out


def test_other_weights_are_not_mixed_in(call, films, weights, extracted):
    code, _, err = call("extract", *options(films, weights, extracted[0]), "--precision", "bf16")
    assert code == 2
    assert "holds features of other encoders" in err


@pytest.fixture(scope="module")
def avqa_weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("avqa")
    torch.manual_seed(0)
    torch.save(VGGish().state_dict(), folder / "vggish.pth")
    torch.save(resnet18().state_dict(), folder / "resnet.pth")
    (folder / "videos").mkdir()
    write_timed(folder / "videos" / "00000001.mp4", np.arange(10) / 10, (0.0, 2.0))
    return folder


def test_features_of_question_answering(call, avqa_weights, monkeypatch, tmp_path):
    encode = ResNetMaps.forward

    def of_each_once(self, frames):  # behind the first second all are its last one
        distinct, back = torch.unique_consecutive(frames, dim=0, return_inverse=True)
        return encode(self, distinct)[back]

    monkeypatch.setattr(ResNetMaps, "forward", of_each_once)
    arguments = ["--task", "avqa", "--source", avqa_weights / "videos", "--vggish", avqa_weights / "vggish.pth",
                 "--resnet", avqa_weights / "resnet.pth", "--workers", 0, "--out", tmp_path / "x",
                 "--no-progress"]  # fmt: skip
    code, out, err = call("extract", *arguments)
    assert code == 0, err
    assert "extract: " in err
    assert "00000001.mp4 shows pictures in 1 of 2 s" in err
    sound = np.load(tmp_path / "x" / "vggish" / "00000001.npy")
    assert sound.shape == (60, 128)
    assert np.abs(sound[0] - sound[5]).max() > 1e-4  # a tone, then silence
    assert np.load(tmp_path / "x" / "res18_14x14" / "00000001.npy").shape == (60, 512, 14, 14)
    code, out, _ = call("extract", *arguments)
    assert (code, "1 films, 1 of them done before" in out) == (0, True)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    code, _, err = call("extract", *arguments, "--vggish", tmp_path / "other.pth")
    assert code == 2
    assert "other.pth is no VGGish" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "continual"], "--task continual needs --dataset"),
        (["--task", "continual", "--dataset", "ave-ci"], "--task continual needs --lists"),
        (["--task", "avqa"], "--task avqa needs --vggish"),
        (["--task", "avqa", "--dataset", "ave-ci"], "--dataset ave-ci is read with --task continual only"),
        (["--task", "avqa", "--vggish", "v", "--batch-size", 0], "--batch-size 0 must be 1 or more"),
        (["--task", "avqa", "--vggish", "v", "--workers", -1], "--workers -1 must be 0 or more"),
        (["--task", "avqa", "--vggish", "v"], "--source nowhere is not a folder"),
        (["--task", "continual", "--max-missing", 2], "must be 0 or more and below 1"),
    ],
)
def test_options_that_cannot_be(call, tmp_path, arguments, words):
    if "--max-missing" in arguments:
        arguments = [*arguments, "--dataset", "ave-ci", "--lists", tmp_path]
    code, _, err = call("extract", *arguments, "--source", "nowhere", "--out", tmp_path / "x")
    assert code == 2
    assert words in err
    assert not (tmp_path / "x").exists()
