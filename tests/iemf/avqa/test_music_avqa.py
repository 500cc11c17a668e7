"""MUSIC-AVQA from files in the official layout: a tree of a few videos, and everything that can be wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from iemf.avqa import music_avqa
from iemf.avqa.pairs import Frames
from iemf.errors import UserError

VIDEOS = ("00000001", "00000002", "00000003")


def question(number, video, answer, text="How many <Object> are in the entire video?"):
    values = ["violin"] if "<" in text else []
    return {"video_id": video, "question_id": number, "type": '["Visual", "Counting"]', "question_content": text,
            "templ_values": json.dumps(values), "question_deleted": 0, "anser": answer}  # fmt: skip


def tree(root, side=2, kind=np.float32):
    """Three videos, a question of each in train, the first two's in val and test too; an answer only test has."""
    rng = np.random.default_rng(0)
    (root / "json").mkdir(parents=True)
    number = 0
    for split, videos in (("train", VIDEOS), ("val", VIDEOS[:2]), ("test", VIDEOS[:2])):
        items = []
        for video in videos:
            items.append(question(number, video, "nine" if (split, video) == ("test", VIDEOS[1]) else "one"))
            number += 1
        (root / "json" / f"avqa-{split}.json").write_text(json.dumps(items))
    features = {}
    for video in VIDEOS:
        features[video] = rng.normal(size=(60, 128)).astype(kind), rng.normal(size=(60, 512, side, side)).astype(kind)
        for name, array in zip(("vggish", "res18_14x14"), features[video], strict=True):
            (root / "feats" / name).mkdir(parents=True, exist_ok=True)
            np.save(root / "feats" / name / f"{video}.npy", array)
    return features


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_every_sixth_second_of_the_right_video(tmp_path, kind):
    features = tree(tmp_path, kind=kind)
    data = music_avqa.load(tmp_path)
    assert (len(data.train), len(data.val), len(data.test)) == (3, 2, 2)
    assert (data.audio_size, data.visual_size) == (128, 512)
    batch = data.train.__getitems__([2, 0])
    for row, video in enumerate((VIDEOS[2], VIDEOS[0])):
        for found, whole in zip((batch.audio[row], batch.visual[row]), features[video], strict=True):
            np.testing.assert_array_equal(
                found.numpy(), whole[[0, 6, 12, 18, 24, 30, 36, 42, 48, 54]].astype(np.float32)
            )
    assert data.test.unknown == 1
    assert data.test.answers.tolist() == [0, -1]


def test_a_frame_is_read_without_the_others(tmp_path):
    """All other seconds of the file are NaN, which reading would refuse."""
    features = tree(tmp_path)
    path = tmp_path / "feats" / "res18_14x14" / f"{VIDEOS[1]}.npy"
    maps = np.full_like(features[VIDEOS[1]][1], np.nan)
    maps[[7, 30]] = features[VIDEOS[1]][1][[7, 30]]
    np.save(path, maps)
    split = music_avqa.load(tmp_path).train
    assert (split.features.times, split.features.seconds) == (10, 60)
    frames = Frames(torch.tensor([[1, 0], [1, 2]]), torch.tensor([[7, 59], [30, 0]]))
    found = split.pictures(frames, torch.tensor([0, 1]))
    assert found.shape == (2, 2, 512, 2, 2)
    for place, video, second in (((0, 0), 1, 7), ((0, 1), 0, 59), ((1, 0), 1, 30), ((1, 1), 2, 0)):
        np.testing.assert_array_equal(found[place].numpy(), features[VIDEOS[video]][1][second])
    heard = split.sounds(Frames(torch.tensor([2, 0]), torch.tensor([59, 1])))
    np.testing.assert_array_equal(heard[0].numpy(), features[VIDEOS[2]][0][59])
    with pytest.raises(UserError, match=r"00000002\.npy holds NaN"):
        split.pictures(Frames(torch.tensor([1]), torch.tensor([8])), torch.tensor([0]))


def test_a_frame_costs_a_frame(tmp_path):
    """Bytes that this process asks for, 60 times as many if whole files were read; and files of columns first."""
    features = tree(tmp_path, side=4)
    path = tmp_path / "feats" / "res18_14x14" / f"{VIDEOS[2]}.npy"
    np.save(path, np.asfortranarray(features[VIDEOS[2]][1]))
    of_split = music_avqa.load(tmp_path).train.features
    one = features[VIDEOS[0]][1][0].nbytes
    videos, seconds = np.array([0, 1] * 15), np.arange(30) * 2

    def asked():
        lines = dict(line.split(":") for line in Path("/proc/self/io").read_text().splitlines())
        return int(lines["rchar"])

    if Path("/proc/self/io").exists():
        before = asked()
        found = of_split.pictures(videos, seconds, seconds)
        assert asked() - before < 31 * one
        np.testing.assert_array_equal(found[3], features[VIDEOS[1]][1][6])
    found = of_split.pictures(np.array([2]), np.array([59]), np.array([0]))
    np.testing.assert_array_equal(found[0], features[VIDEOS[2]][1][59])
    path.with_name(f"{VIDEOS[0]}.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"00000001\.npy is no readable \.npy file"):
        of_split.pictures(np.array([0]), np.array([5]), np.array([0]))


def test_videos_with_letters_in_their_ids_are_synthetic(tmp_path):
    tree(tmp_path)
    for split in ("train", "val", "test"):
        path = tmp_path / "json" / f"avqa-{split}.json"
        path.write_text(path.read_text().replace(VIDEOS[1], f"va{VIDEOS[1]}"))
    for name in ("vggish", "res18_14x14"):
        folder = tmp_path / "feats" / name
        (folder / f"{VIDEOS[1]}.npy").rename(folder / f"va{VIDEOS[1]}.npy")
    train = music_avqa.load(tmp_path).train
    assert train.video_list[train.real].tolist() == [0, 1]  # sorted: 00000001, 00000003, va00000002
    assert len(train.video_list) == 3


def test_the_digest_changes_with_the_questions(tmp_path):
    tree(tmp_path)
    first = music_avqa.load(tmp_path).about["digest"]
    path = tmp_path / "json" / "avqa-test.json"
    path.write_text(path.read_text().replace("nine", "one"))
    assert music_avqa.load(tmp_path).about["digest"] != first


@pytest.mark.parametrize("name", ["vggish", "res18_14x14"])
def test_the_digest_changes_with_the_features(tmp_path, name):
    tree(tmp_path)
    first = music_avqa.load(tmp_path).about["digest"]
    path = tmp_path / "feats" / name / f"{VIDEOS[2]}.npy"
    np.save(path, 2 * np.load(path))
    assert music_avqa.load(tmp_path).about["digest"] != first


def save(path, array):
    np.save(path, array)


SOUND, MAPS = "feats/vggish/00000002.npy", "feats/res18_14x14/00000002.npy"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (MAPS, lambda path: path.unlink(), r"00000002\.npy missing: 3 videos are asked about"),
        ("json/avqa-val.json", lambda path: path.unlink(), r"avqa-val\.json is missing"),
        ("json/avqa-val.json", lambda path: path.write_text("[1]"), r"avqa-val\.json, item 0: it is int"),
        (
            SOUND,
            lambda path: save(path, np.zeros((60, 64), np.float32)),
            r"is of shape \[60, 64\], expected \[60, 128\]",
        ),
        (
            MAPS,
            lambda path: save(path, np.zeros((10, 512, 2, 2), np.float32)),
            r"is of shape \[10, 512, 2, 2\], expected \[60, 512, 14, 14\], seconds, channels, height and width; make",
        ),
        (
            MAPS,
            lambda path: save(path, np.zeros((60, 512, 3, 3), np.float32)),
            r"is of shape \[60, 512, 3, 3\], others \[60, 512, 2, 2\]",
        ),
        (MAPS, lambda path: save(path, np.zeros((60, 512, 2, 2))), "is of dtype float64, expected float16 or float32"),
        (MAPS, lambda path: path.write_bytes(path.read_bytes()[:5000]), "is no readable .npy file"),
        (MAPS, lambda path: path.write_bytes(b""), "is no readable .npy file"),
        (MAPS, lambda path: np.savez(path.open("wb"), a=np.zeros(3)), "is an archive of arrays"),
        (SOUND, lambda path: save(path, np.full((60, 128), np.nan, np.float32)), "holds NaN or infinite numbers"),
    ],
)
def test_what_can_be_wrong_is_one_line_that_names_the_file(tmp_path, file, change, words):
    tree(tmp_path)
    change(tmp_path / file)
    with pytest.raises(UserError, match=words) as caught:
        music_avqa.load(tmp_path).train.__getitems__([0, 1, 2])
    assert str(tmp_path / file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_how_many_videos_have_no_features(tmp_path):
    tree(tmp_path)
    for file in (SOUND, MAPS):
        (tmp_path / file).unlink()
    with pytest.raises(UserError, match=r"vggish/00000002\.npy missing: 3 videos are asked about"):
        music_avqa.load(tmp_path)
    (tmp_path / "feats" / "vggish" / f"{VIDEOS[2]}.npy").unlink()
    with pytest.raises(UserError, match=r"vggish/00000002\.npy and those of 1 more videos missing"):
        music_avqa.load(tmp_path)


def test_features_of_another_length_are_refused_at_once(tmp_path):
    tree(tmp_path)
    np.save(tmp_path / "feats" / "vggish" / f"{VIDEOS[0]}.npy", np.zeros((10, 128), np.float32))
    with pytest.raises(UserError, match=r"00000001\.npy is of shape \[10, 128\], expected \[60, 128\]"):
        music_avqa.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("vggish", (60, 7), r"1\.npy is of shape \[60, 7\], expected \[60, 128\], seconds by VGGish's numbers; make"),
        ("vggish", (128, 60), r"1\.npy is of shape \[128, 60\], expected \[60, 128\]"),
        ("res18_14x14", (60, 2, 2, 512), r"1\.npy is of shape \[60, 2, 2, 512\], expected .*; move the last axis to"),
        ("res18_14x14", (60, 512, 4, 2), r"1\.npy is of shape \[60, 512, 4, 2\], expected \[60, 512, 14, 14\]"),
        ("res18_14x14", (60, 512), r"1\.npy is of shape \[60, 512\], expected"),
    ],
)  # fmt: skip
def test_axes_of_another_order_are_refused_where_every_file_has_them(tmp_path, name, shape, words):
    tree(tmp_path)
    for video in VIDEOS:
        np.save(tmp_path / "feats" / name / f"{video}.npy", np.zeros(shape, np.float32))
    with pytest.raises(UserError, match=words):
        music_avqa.load(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"`data_root` .*x is not a folder"):
        music_avqa.load(tmp_path / "x")
