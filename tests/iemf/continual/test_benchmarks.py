"""The public release and extracted features as benchmarks; everything that can be wrong with a folder."""

import json

import h5py
import numpy as np
import pytest

from iemf.continual import benchmarks
from iemf.continual.benchmarks import BENCHMARKS
from iemf.continual.rows import FileRows
from iemf.errors import UserError
from tests import released_features
from tests.released_features import AUDIO, PLACES, VISUAL


def extracted(folder, name="ave-ci"):
    """The same as released_features.write, as experiments.extract leaves it, in another order."""
    videos, numbers = released_features.lists(name)
    ids = sorted(video for split in videos.values() for part in split.values() for video in part)
    rng = np.random.default_rng(1)
    audio = rng.normal(size=(len(ids), AUDIO)).astype(np.float16)
    visual = rng.normal(size=(len(ids), 8, PLACES, VISUAL)).astype(np.float16)
    folder.mkdir()
    np.save(folder / "audio.npy", audio)
    np.save(folder / "visual.npy", visual)
    splits = {split: {str(label): part for label, part in by_class.items()} for split, by_class in videos.items()}
    index = {"format": 1, "benchmark": name, "ids": ids, "classes": list(numbers), "splits": splits, "missing": [],
             "encoders": {"video_mae": "x"}}  # fmt: skip
    (folder / "index.json").write_text(json.dumps(index))
    return dict(zip(ids, zip(audio, visual, strict=True), strict=True))


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
@pytest.mark.parametrize("hdf5", [False, True])
def test_the_public_release(tmp_path, name, hdf5):
    visual = released_features.write(tmp_path / "x", name, hdf5)
    data = benchmarks.load(name, tmp_path / "x")
    assert len(data.tasks) == BENCHMARKS[name].tasks
    assert data.tasks[-1].stop == BENCHMARKS[name].classes == len(data.classes)
    assert (len(data.train), len(data.val), len(data.test)) == tuple(n * len(data.classes) for n in (3, 1, 1))
    assert (data.audio_size, data.visual_size) == (AUDIO, VISUAL)
    assert isinstance(data.train.visual, FileRows) == hdf5
    batch = data.train.__getitems__([4, 0])
    assert batch.label.tolist() == [1, 0]
    assert data.train.ids[4] == "train1_1"
    assert np.array_equal(batch.visual[0].reshape(8 * PLACES, VISUAL), visual["train1_1"])


def test_extracted_features(tmp_path):
    features = extracted(tmp_path / "x")
    data = benchmarks.load("ave-ci", tmp_path / "x")
    batch = data.val.__getitems__([27, 3])
    assert data.val.ids[27] == "val27_0"
    assert batch.label.tolist() == [27, 3]
    for row, video in enumerate(("val27_0", "val3_0")):
        assert np.array_equal(batch.audio[row], features[video][0])
        assert np.array_equal(batch.visual[row], features[video][1])
    assert benchmarks.load("ave-ci", tmp_path / "x", tasks=7).tasks[6] == range(24, 28)


def test_the_digest_changes_with_the_features(tmp_path):
    extracted(tmp_path / "x")
    first = benchmarks.load("ave-ci", tmp_path / "x").about["digest"]
    assert benchmarks.load("ave-ci", tmp_path / "x").about["digest"] == first
    index = json.loads((tmp_path / "x" / "index.json").read_text())
    (tmp_path / "x" / "index.json").write_text(json.dumps(index | {"encoders": {"video_mae": "y"}}))
    assert benchmarks.load("ave-ci", tmp_path / "x").about["digest"] != first


@pytest.mark.parametrize("hdf5", [False, True])
@pytest.mark.parametrize("kind", ["audio", "visual"])
def test_the_digest_changes_with_the_numbers_themselves(tmp_path, hdf5, kind):
    """Files of the same names and sizes."""
    released_features.write(tmp_path / "x", "ave-ci", hdf5)
    first = benchmarks.load("ave-ci", tmp_path / "x").about["digest"]
    if kind == "visual" and hdf5:
        with h5py.File(tmp_path / "x" / "visual_pretrained_feature" / "visual_features.h5", "a") as file:
            for data in file.values():
                data[...] = -data[...]
    else:
        rewrite(
            tmp_path / "x" / (SOUND if kind == "audio" else FILM), lambda d: d.update({k: -v for k, v in d.items()})
        )
    assert benchmarks.load("ave-ci", tmp_path / "x").about["digest"] != first


@pytest.mark.parametrize(
    ("file", "shape", "words"),
    [
        ("visual.npy", (140, 24, 5), r"visual\.npy is of shape \[\d+, 24, 5\], expected \[N, times, places, D\]"),
        ("visual.npy", (140, 768, 8, 4), r"visual\.npy is of shape \[\d+, 768, 8, 4\], expected .* 8 times and n x n"),
        ("visual.npy", (140, 8, 768, 4), r"visual\.npy is of shape \[\d+, 8, 768, 4\], expected .*\[N, 8, 196, 768\]"),
        ("visual.npy", (140, 5), r"visual\.npy is of shape \[\d+, 5\], expected"),
        ("audio.npy", (140, 1, 6), r"audio\.npy is of shape \[140, 1, 6\], expected \[N, D\]"),
        ("visual.npy", (140, 8, 0, 5), r"visual\.npy is of shape \[\d+, 8, 0, 5\]"),
    ],
)
def test_features_of_another_rank_are_refused(tmp_path, file, shape, words):
    """Broadcasting would mix samples without a word."""
    extracted(tmp_path / "x")
    np.save(tmp_path / "x" / file, np.zeros(shape, np.float16))
    with pytest.raises(UserError, match=words):
        benchmarks.load("ave-ci", tmp_path / "x")


def rewrite(path, change):
    """Change the dict in a .npy file."""
    content = np.load(path, allow_pickle=True).item()
    change(content)
    np.save(path, content)


LISTS, NAMES = "all_classId_vid_dict.npy", "category_encode_dict.npy"
SOUND = "audio_pretrained_feature/audio_pretrained_feature_dict.npy"
FILM = "visual_pretrained_feature/visual_pretrained_feature_dict.npy"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (SOUND, lambda d: [d.pop("train0_1"), d.pop("test5_0")], r"no sound of 'train0_1' and 1 more that the lists"),
        (FILM, lambda d: d.pop("val27_0"), r"no pictures of 'val27_0' that the lists name"),
        (FILM, lambda d: d.update(train2_0=np.zeros((32, 768), np.float32)), r"'train2_0' is \[32, 768\] float32, ot"),
        (FILM, lambda d: d.update(train0_0=np.zeros((7, 5), np.float32)), r"'train0_0' is of shape \[7, 5\], expected"),
        (
            FILM,
            lambda d: d.update(train0_0=np.zeros((768, 8), np.float32)),
            r"is of shape \[768, 8\].*; transpose them",
        ),
        (
            FILM,
            lambda d: d.update(train0_0=np.zeros((24, 768), np.float32)),
            r"is of shape \[24, 768\], expected \[8 x n",
        ),
        (FILM, lambda d: d.update(train0_0=np.zeros((8, 768), np.int32)), "'train0_0' is of dtype int32"),
        (SOUND, lambda d: d.update(train2_0=np.zeros((2, 3))), r"'train2_0' is of shape \[2, 3\], expected \[768\]"),
        (SOUND, lambda d: d.update({k: v[:7] for k, v in d.items()}), r"is of shape \[7\], expected \[768\]; get the"),
        (SOUND, lambda d: d.update(train2_0=np.zeros(768, np.float64)), "'train2_0' is of dtype float64"),
        (SOUND, lambda d: d.update(train2_0="no"), r"'train2_0' is of shape str"),
        (LISTS, lambda d: d["val"].update({3: []}), "class 'class 3' has no sample in val"),
        (LISTS, lambda d: [d["val"].pop(3), d["val"].pop(4)], r"'class 3' has no sample in val \(2 such classes\)"),
        (LISTS, lambda d: d.pop("test"), "no dict of class ids and videos for 'test'"),
        (LISTS, lambda d: d["val"].update({99: ["x"]}), "val has class id 99, there are 28 classes"),
        (LISTS, lambda d: d["val"][3].append("train0_0"), "lists 'train0_0' twice, in train and val"),
        (NAMES, lambda d: d.update({"class 3": 40}), "numbers its 28 classes"),
        (NAMES, lambda d: d.update({"class 3": "many"}), "must give each class name its number"),
    ],
)
def test_what_can_be_wrong_with_the_release(tmp_path, file, change, words):
    released_features.write(tmp_path / "x", "ave-ci")
    rewrite(tmp_path / "x" / file, change)
    with pytest.raises(UserError, match=words) as caught:
        benchmarks.load("ave-ci", tmp_path / "x")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"benchmark": "k-s-ci"}, "is of k-s-ci, not of ave-ci"),
        ({"ids": ["a"]}, r"visual\.npy has no pictures and sound of 'train0_0' and 139 more"),
        ({"splits": {}}, "no dict of class ids and videos for 'train'"),
        ({"classes": ["a"]}, "train has class id 1, there are 1 classes"),
        ({"classes": 5}, "is no index of features"),
    ],
)
def test_what_can_be_wrong_with_an_index(tmp_path, change, words):
    extracted(tmp_path / "x")
    path = tmp_path / "x" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=words):
        benchmarks.load("ave-ci", tmp_path / "x")


def test_folders_that_are_no_benchmark(tmp_path):
    with pytest.raises(UserError, match=r"`data_root` .*x is not a folder"):
        benchmarks.load("ave-ci", tmp_path / "x")
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match=r"holds neither index\.json"):
        benchmarks.load("ave-ci", tmp_path / "x")
    released_features.write(tmp_path / "y", "ave-ci")
    with pytest.raises(UserError, match="lists 28 classes, k-s-ci has 30"):
        benchmarks.load("k-s-ci", tmp_path / "y")
    with pytest.raises(UserError, match="`tasks` 3: 28 classes do not divide into 3 tasks"):
        benchmarks.load("ave-ci", tmp_path / "y", tasks=3)
    (tmp_path / "y" / FILM).unlink()
    with pytest.raises(UserError, match=r"visual_pretrained_feature holds no visual_features\.h5 or visual_pretrained"):
        benchmarks.load("ave-ci", tmp_path / "y")


def test_hdf5_that_cannot_be_read_in_place(tmp_path):
    released_features.write(tmp_path / "x", "ave-ci", hdf5=True)
    path = tmp_path / "x" / "visual_pretrained_feature" / "visual_features.h5"
    with h5py.File(path, "a") as file:
        del file["val3_0"]
        file.create_dataset("val3_0", data=np.zeros((24, 5), np.float32), compression="gzip")
    with pytest.raises(UserError, match="'val3_0' is no contiguous data set; h5repack"):
        benchmarks.load("ave-ci", tmp_path / "x")
    path.write_bytes(b"no")
    with pytest.raises(UserError, match=r"visual_features\.h5 is no HDF5 file"):
        benchmarks.load("ave-ci", tmp_path / "x")
