"""The splits, noise and record of any source of clips."""

import pytest
import torch

from iemf.data.assemble import assemble
from iemf.data.clips import View
from iemf.data.noise import CLEAN, Noise
from iemf.errors import UserError

VIEW = View(1, 32, 0.5)


class Source:
    """Clips whose sound is their row."""

    def __init__(self, labels):
        self.labels = labels

    def read(self, index, choose, seconds):
        return torch.full((11025,), index / 100), torch.zeros(len(choose(1)), 3, 32, 32, dtype=torch.uint8)


def make(sources, **options):
    return assemble("ours", ("a", "b"), sources, "/data", view=VIEW, **options)


def test_a_tenth_of_training_is_set_aside_where_no_validation_is_given():
    train, test = Source([0] * 10 + [1] * 20), Source([0, 1])
    data = make({"train": train, "test": test}, about={"skipped": 3})
    assert data.about == {"root": "/data", "clips": {"train": 27, "test": 2, "val": 3}, "skipped": 3}
    assert sorted(data.train.rows + data.val.rows) == list(range(30))
    assert sorted(batch.label.item() for batch in (data.val[i] for i in range(3))) == [0, 1, 1]
    assert make({"train": train, "test": test}, split_seed=1).val.rows != data.val.rows
    assert make({"train": train, "test": test}, seed=1).val.rows == data.val.rows


def test_a_given_validation_split_is_kept():
    data = make({"train": Source([0, 1]), "val": Source([1, 0, 1]), "test": Source([0])})
    assert [len(split) for split in (data.train, data.val, data.test)] == [2, 3, 1]


def test_a_class_of_one_clip_cannot_be_validated():
    with pytest.raises(UserError, match="class 'b' has one training clip"):
        make({"train": Source([0, 0, 1]), "test": Source([0])})


def test_the_test_split_may_have_noise_of_its_own():
    sources = {split: Source([0, 1]) for split in ("train", "val", "test")}
    data = make(sources, noise=Noise((0.0, 0.0), CLEAN), test_noise=Noise())
    assert [len(split[1].audio.unique()) > 1 for split in (data.train, data.val, data.test)] == [True, True, False]
    assert len(make(sources, noise=Noise((0.0, 0.0), CLEAN)).test[1].audio.unique()) > 1
