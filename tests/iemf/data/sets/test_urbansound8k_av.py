"""UrbanSound8K-AV: its folders, and the split that is drawn."""

from collections import Counter

import pytest

from iemf.data.sets import urbansound8k_av
from iemf.errors import UserError
from tests import official


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
