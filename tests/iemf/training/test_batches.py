"""Each process's share of the batches, and how they are read."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from iemf.errors import UserError
from iemf.training.batches import read_batches, share
from tests.iemf.small import processes


def shares(parts, count, even):
    return [share(parts, processes(count, index), even=even) for index in range(count)]


def test_shares_by_hand():
    parts = [[0], [1], [2], [3], [4]]
    assert shares(parts, 1, even=True) == [parts]
    assert shares(parts, 2, even=False) == [[[0], [2], [4]], [[1], [3]]]
    assert shares(parts, 2, even=True) == [[[0], [2], [4]], [[1], [3], [0]]]
    assert shares(parts[:4], 2, even=True) == shares(parts[:4], 2, even=False) == [[[0], [2]], [[1], [3]]]
    assert shares(parts[:1], 3, even=False) == [[[0]], [], []]
    assert shares(parts[:1], 3, even=True) == [[[0]], [[0]], [[0]]]  # else a step would wait for ever
    assert len(parts) == 5


@given(st.integers(1, 9), st.integers(1, 9))
def test_every_part_is_somebodys_and_repeated_ones_are_the_first(count, length):
    parts = [[number] for number in range(length)]
    uneven, even = shares(parts, count, even=False), shares(parts, count, even=True)
    assert sorted(part for of in uneven for part in of) == parts
    assert len({len(of) for of in even}) == 1
    together = [part for step in zip(*even, strict=True) for part in step]
    assert together[:length] == parts
    assert len(together) - length < count


class Row(NamedTuple):
    x: Tensor
    y: Tensor


def test_features_come_in_float32_and_labels_as_they_are():
    def read(part):
        return Row(torch.tensor(part).half() / 2, torch.tensor(part))

    batches = list(read_batches(read, [[1, 2], [3]], torch.device("cpu")))
    assert [type(batch) for batch in batches] == [Row, Row]
    assert [batch.x.tolist() for batch in batches] == [[0.5, 1.0], [1.5]]
    assert [batch.y.tolist() for batch in batches] == [[1, 2], [3]]
    assert {(batch.x.dtype, batch.y.dtype) for batch in batches} == {(torch.float32, torch.int64)}


def test_what_reading_raises_is_raised():
    def read(part):
        raise UserError("broken")

    with pytest.raises(UserError, match="broken"):
        list(read_batches(read, [[0]], torch.device("cpu")))
