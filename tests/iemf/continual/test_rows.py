"""Rows read from files when they are asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iemf.continual.rows import FileRows, npy_rows
from iemf.errors import UserError

ARRAY = np.random.default_rng(0).normal(size=(7, 2, 3)).astype(np.float16)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "x.npy"
    np.save(path, ARRAY)
    return path


@settings(deadline=None)
@given(st.data())
def test_any_rows_in_any_order(path, data):
    kept = data.draw(st.lists(st.integers(0, 6), min_size=1))
    rows = npy_rows(path, kept)
    picks = data.draw(st.lists(st.integers(0, len(kept) - 1)))
    assert rows.shape == (len(kept), 2, 3)
    assert rows.dtype == np.float16
    assert np.array_equal(rows[picks], ARRAY[[kept[i] for i in picks]])


def test_what_is_no_array_of_features_is_refused(tmp_path, path):
    def refused(words, rows=(0,)):
        with pytest.raises(UserError, match=words):
            npy_rows(tmp_path / "y.npy", rows)

    refused(r"y\.npy is missing")
    (tmp_path / "y.npy").write_bytes(b"no")
    refused(r"y\.npy is no \.npy file")
    (tmp_path / "y.npy").write_bytes(path.read_bytes()[:-1])
    refused(r"y\.npy is cut: 211 bytes of 212")
    np.save(tmp_path / "y.npy", np.zeros((2, 2), np.int64))
    refused("dtype int64, expected float16 or float32")
    np.save(tmp_path / "y.npy", np.asfortranarray(np.zeros((2, 3), np.float32)))
    refused("C order")
    np.save(tmp_path / "y.npy", np.zeros((2, 3), np.float32))
    refused("has 2 rows, row 5 is called for", [0, 5])


def test_a_file_cut_while_it_is_read_is_named(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 1000), np.float32))
    rows = npy_rows(tmp_path / "x.npy", range(4))
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate(9000)
    assert rows[[0]].shape == (1, 1000)
    with pytest.raises(UserError, match=r"x\.npy is cut: it ends before byte"):
        rows[[0, 3]]


def test_rows_may_lie_anywhere(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" + np.float32([1, 2]).tobytes() + b"d" + np.float32([3, 4]).tobytes())
    assert FileRows(tmp_path / "x", [12, 3], (2,), np.float32)[[0, 1]].tolist() == [[3, 4], [1, 2]]
