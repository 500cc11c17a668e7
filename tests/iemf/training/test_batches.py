"""Each process's share of the batches, and how they are read."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from iemf.errors import UserError
from iemf.training.batches import global_batches, in_turn, own_part, read_batches, weight_of_part
from tests.iemf.small import processes


def steps(rows, batch_size, count, least=1):
    """[the rows of each process] of each step."""
    everyone = [processes(count, index) for index in range(count)]
    batches = [global_batches(rows, batch_size, each, least) for each in everyone]
    return [[own_part(batch, each) for batch, each in zip(step, everyone, strict=True)]
            for step in zip(*batches, strict=True)]  # fmt: skip


def test_batches_by_hand():
    ten = range(10)
    assert steps(ten, 4, 1) == [[[0, 1, 2, 3]], [[4, 5, 6, 7]], [[8, 9]]]
    assert steps(ten, 3, 2) == [[[0, 1, 2], [3, 4, 5]], [[6, 7], [8, 9]]]
    assert steps(ten, 4, 2) == [[[0, 1, 2, 3], [4, 5, 6, 7]], [[8], [9]]]
    assert steps(ten, 4, 2, least=2) == [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    assert steps(range(9), 4, 1, least=2) == [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]
    assert steps(range(9), 4, 2) == [[[0, 1, 2, 3], [4, 5, 6, 7]]]  # one is left for two
    assert steps(range(2), 4, 3) == [[[0], [1], [0]]]  # else a step would wait for ever


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 60))
def test_processes_see_the_batches_of_one_with_a_larger_batch_size(count, batch_size, length):
    rows = list(range(length))
    together = [[row for part in step for row in part] for step in steps(rows, batch_size, count)]
    alone = [batch for (batch,) in steps(rows, batch_size * count, 1)]
    if length >= count:
        assert together == [batch for batch in alone if len(batch) >= count]
    for step in steps(rows, batch_size, count):
        sizes = {len(part) for part in step}
        assert max(sizes) - min(sizes) <= 1
        assert 0 < min(sizes) <= max(sizes) <= batch_size


def test_an_evaluation_is_shared_in_turn():
    parts = [[0], [1], [2], [3], [4]]
    assert [in_turn(parts, processes(2, index)) for index in range(2)] == [[[0], [2], [4]], [[1], [3]]]
    assert [in_turn(parts[:1], processes(3, index)) for index in range(3)] == [[[0]], [], []]


def test_a_part_of_any_size_weighs_one_where_it_is_all():
    assert weight_of_part(7, torch.device("cpu")) == 1


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
