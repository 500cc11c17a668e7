"""Kinetics-Sounds: its folders and lists, the official ones among them where they are at hand."""

import pytest

from iemf.data.sets import kinetics_sounds
from iemf.errors import UserError
from tests import official


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


@pytest.mark.parametrize("count", [33, 30])
def test_a_folder_of_other_than_31_classes_is_told(tmp_path, count):
    for split in ("train", "test"):
        for number in range(count):
            (tmp_path / split / f"class {number:02d}").mkdir(parents=True)
            (tmp_path / split / f"class {number:02d}" / f"{split}.mp4").touch()
    (remark,) = kinetics_sounds.list_clips(tmp_path).remarks
    assert remark.startswith(f"{count} classes, Kinetics-Sounds has 31: its numbers are no measure for these; name the")
    assert "my_train.txt and my_test.txt with `lists`" in remark
    assert "(class 00, class 01, " in remark


def test_a_folder_of_31_classes_has_no_remark_but_of_clips_elsewhere(tmp_path):
    for split in ("train", "test"):
        for number in range(31):
            (tmp_path / split / f"class {number:02d}").mkdir(parents=True)
            (tmp_path / split / f"class {number:02d}" / f"{split}.mp4").touch()
            (tmp_path / split / f"class {number:02d}" / f"._{split}.mp4").touch()
    (tmp_path / "__MACOSX" / "train" / "class 31").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "train" / "class 31" / "x.mp4").touch()
    assert kinetics_sounds.list_clips(tmp_path).remarks == ()
    (tmp_path / "val" / "class 00").mkdir(parents=True)
    (tmp_path / "val" / "class 00" / "x.mp4").touch()
    (remark,) = kinetics_sounds.list_clips(tmp_path).remarks
    assert remark.startswith("1 clip(s) lie in no class of train/ or test/ and are left out: ")


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
