"""Where av-digits-qa is kept: made once, by one program at a time, and never over what is somebody else's."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from experiments.avqa import data, encoders
from iemf.errors import UserError
from tests.iemf.avqa.test_music_avqa import tree


def test_a_cache_of_another_recipe_is_made_anew_and_other_files_are_left(digits_qa, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(data.av_digits_qa, "make", lambda *_: made.append(1))
    data.make_if_missing(digits_qa, progress=False)
    assert not made
    copy = tmp_path / "cache"
    shutil.copytree(digits_qa, copy)
    monkeypatch.setattr(encoders, "RATE", 1.0)
    data.make_if_missing(copy, progress=False)
    assert made
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"`cache` .*mine holds files that are not av-digits-qa's"):
        data.make_if_missing(tmp_path / "mine", progress=False)


def test_two_programs_make_one_cache_once(digits_qa, tmp_path, monkeypatch):
    made = []

    def make(folder, *_):
        made.append(folder)
        time.sleep(0.3)

    monkeypatch.setattr(data.av_digits_qa, "make", make)
    monkeypatch.setattr(encoders, "train", lambda progress: None)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: data.make_if_missing(tmp_path / "x", False), range(2)))  # raises what they raise
    assert made == [tmp_path / "x"]


def test_question_files_are_not_taken_for_a_cache(tmp_path):
    """--cache in place of --data-root, before there are features."""
    tree(tmp_path / "music")
    shutil.rmtree(tmp_path / "music" / "feats")
    before = (tmp_path / "music" / "json" / "avqa-test.json").read_bytes()
    with pytest.raises(UserError, match=r"`cache` .*music holds files that are not av-digits-qa's"):
        data.make_if_missing(tmp_path / "music", progress=False)
    assert (tmp_path / "music" / "json" / "avqa-test.json").read_bytes() == before
