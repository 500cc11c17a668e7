"""CREMA-D: its folders and lists, the official ones among them where they are at hand."""

from collections import Counter

import pytest

from iemf.data.sets import crema_d
from iemf.errors import UserError
from tests import official


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
