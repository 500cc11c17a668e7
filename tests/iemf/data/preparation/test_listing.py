"""Layouts and lists, the official ones among them where they are at hand."""

from collections import Counter

import pytest

from iemf.data import crema_d, kinetics_sounds, urbansound8k_av
from iemf.errors import UserError
from tests import official
from tests.conftest import OFFICIAL


@pytest.fixture
def official_lists():
    if not OFFICIAL.is_dir():
        pytest.skip("the official list files are not at hand; IEMF_OFFICIAL_LISTS names their folder")
    return OFFICIAL


def test_the_official_lists_of_crema_d(official_lists, tmp_path):
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "VideoFlash").mkdir()
    listing = crema_d.list_clips(tmp_path, official_lists / "crema_d")
    assert {split: len(clips) for split, clips in listing.splits.items()} == crema_d.PUBLISHED
    assert listing.classes == ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    counts = Counter(listing.classes[clip.label] for clip in listing.splits["test"])
    assert counts == {"SAD": 140, "FEA": 133, "DIS": 129, "HAP": 123, "NEU": 114, "ANG": 105}
    for clip in listing.splits["train"]:
        assert clip.id.split("_")[2] == listing.classes[clip.label]
    assert listing.splits["test"][0].problem == f"AudioWAV holds no {listing.splits['test'][0].id}.wav"


def test_the_official_lists_of_kinetics_sounds(official_lists, tmp_path):
    lists = official_lists / "kinetics_sounds"
    first = {}
    for line in (lists / "my_train.txt").read_text().splitlines():
        name, _, label = line.split(",")
        first.setdefault(int(label), name)
    for label, name in first.items():  # one film of each class is at hand
        path = tmp_path / "k400" / "train" / f"class {label:02d}" / f"{name}.mp4"
        path.parent.mkdir(parents=True)
        path.touch()
    listing = kinetics_sounds.list_clips(tmp_path, lists)
    assert {split: len(clips) for split, clips in listing.splits.items()} == {"train": 14799, "test": 2597}
    assert {clip.label for clips in listing.splits.values() for clip in clips} == set(range(31))
    assert listing.classes == tuple(f"class {label:02d}" for label in range(31))
    assert sum(not clip.problem for clip in listing.splits["train"]) == 31
    assert {clip.problem for clip in listing.splits["test"]} == {"no file of this name"}


def test_crema_d_prefers_the_official_film_of_two(tmp_path):
    official.crema_d(tmp_path, per_class=3)
    (tmp_path / "VideoFlash" / "1001_DFÄ_ANG_XX.mp4").touch()
    listing = crema_d.list_clips(tmp_path)
    clip = next(clip for clip in listing.splits["train"] + listing.splits["test"] if clip.id == "1001_DFÄ_ANG_XX")
    assert clip.film.name == "1001_DFÄ_ANG_XX.flv"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1000_DFA_ANG_XX", "train.csv line 4 has 1 fields, not 2"),
        ("1009_DFA_ANG_XX,JOY", "'JOY'"),
        ("1009_DFA_ANG_XX,HAP", "is not a clip and its emotion"),
        ("1000_DFA_ANG_XX,ANG", "names 1000_DFA_ANG_XX twice"),
        ("1001_DFÄ_ANG_XX,ANG", "test.csv names 1001_DFÄ_ANG_XX, which .*train.csv has too"),
    ],
)
def test_bad_lines_in_crema_ds_lists(tmp_path, line, words):
    official.crema_d(tmp_path, per_class=3)
    with (tmp_path / "train.csv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=words):
        crema_d.list_clips(tmp_path)


def test_a_list_of_everything_stands_for_the_training_list(tmp_path):
    official.crema_d(tmp_path, per_class=4)
    expected = crema_d.list_clips(tmp_path)
    lines = [line for split in ("test", "train") for line in (tmp_path / f"{split}.csv").read_text().splitlines()]
    (tmp_path / "train.csv").unlink()
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    assert crema_d.list_clips(tmp_path).splits == expected.splits


def test_one_list_of_crema_d_is_not_enough(tmp_path):
    official.crema_d(tmp_path, per_class=3)
    (tmp_path / "test.csv").unlink()
    with pytest.raises(UserError, match=r"test\.csv is missing; both lists are needed"):
        crema_d.list_clips(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("../../etc/passwd,10,0", r"my_train\.txt line 16 is not a clip"),
        ("abcdefghijk_1_2,10,31", "a label below 31"),
        ("abcdefghijk_1_2,10,-1", "a label below 31"),
        ("abcdefghijk,10", "has 2 fields, not 3"),
        ("clip0000001_000001_000011,10,0", "as .* line 2 does"),
    ],
)
def test_bad_lines_in_kinetics_sounds_lists(tmp_path, line, words):
    official.kinetics_sounds(tmp_path)
    with (tmp_path / "my_train.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=words):
        kinetics_sounds.list_clips(tmp_path)


def test_kinetics_sounds_without_lists_goes_by_folders(tmp_path):
    official.kinetics_sounds(tmp_path)
    for name in ("my_train.txt", "my_test.txt"):
        (tmp_path / name).unlink()
    listing = kinetics_sounds.list_clips(tmp_path)
    assert listing.classes == ("café chatter", "playing banjo", "tap dancing")
    assert {split: len(clips) for split, clips in listing.splits.items()} == {"train": 15, "test": 6}
    assert [len(clip.images) for clip in listing.splits["test"]] == [10] * 6


def test_clips_of_one_name_in_several_folders_are_several_clips(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            for i in range(2):
                (tmp_path / split / name).mkdir(parents=True, exist_ok=True)
                (tmp_path / split / name / f"{i}.mp4").touch()
    (tmp_path / "preview.jpg").touch()
    listing = kinetics_sounds.list_clips(tmp_path)
    assert {split: len(clips) for split, clips in listing.splits.items()} == {"train": 4, "test": 4}


def test_one_file_cannot_be_two_clips_of_the_lists(tmp_path):
    official.kinetics_sounds(tmp_path)
    with (tmp_path / "my_test.txt").open("a") as file:
        file.write("clip0000001_1,10,0\n")
    with pytest.raises(UserError, match=r"my_test\.txt line 7 names clip0000001_1, as .*my_train\.txt line 2 does"):
        kinetics_sounds.list_clips(tmp_path)


def test_folders_are_followed_through_links_but_not_in_circles(tmp_path):
    official.kinetics_sounds(tmp_path / "disk")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "train").symlink_to(tmp_path / "disk" / "train")
    (tmp_path / "here" / "test").symlink_to(tmp_path / "disk" / "test")
    (tmp_path / "disk" / "train" / "loop").symlink_to(tmp_path / "here")
    listing = kinetics_sounds.list_clips(tmp_path / "here", tmp_path / "disk")
    assert not any(clip.problem for clip in listing.splits["train"])


def test_numbers_name_the_classes_where_one_folder_holds_all(tmp_path):
    official.kinetics_sounds(tmp_path / "raw")
    (tmp_path / "all").mkdir()
    for path in (tmp_path / "raw" / "train").rglob("*.*"):
        path.rename(tmp_path / "all" / path.name)
    assert kinetics_sounds.list_clips(tmp_path / "all", tmp_path / "raw").classes == ("0", "1", "2")


def test_labels_whose_clips_lie_in_one_folder_are_refused(tmp_path):
    official.kinetics_sounds(tmp_path)
    text = (tmp_path / "my_train.txt").read_text().replace(",10,1", ",10,5")
    (tmp_path / "my_train.txt").write_text(text)
    with pytest.raises(UserError, match="labels 1 and 5 lie in one folder, 'café chatter'"):
        kinetics_sounds.list_clips(tmp_path)


def test_a_folder_that_is_no_class_of_urbansound(tmp_path):
    official.urbansound8k_av(tmp_path, per_class=6)
    (tmp_path / "Dataset_v3_sound" / "whale").mkdir()
    with pytest.raises(UserError, match="whale is not a class"):
        urbansound8k_av.list_clips(tmp_path)


def test_the_split_of_urbansound_is_seven_to_three_in_every_class(tmp_path):
    official.urbansound8k_av(tmp_path)
    listing = urbansound8k_av.list_clips(tmp_path)
    counts = {split: Counter(clip.label for clip in clips) for split, clips in listing.splits.items()}
    assert counts == {"train": {0: 7, 1: 7, 2: 7}, "test": {0: 3, 1: 3, 2: 3}}
    other = urbansound8k_av.list_clips(tmp_path, seed=1)
    assert {c.id for c in other.splits["test"]} != {c.id for c in listing.splits["test"]}
