"""Dicts in .npy files: what is admitted, what is refused, and that large arrays stay where they are."""

import os
import pickle
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iemf.continual import pickled
from iemf.errors import UserError

LARGE = {f"v{i}": np.random.default_rng(i).normal(size=(600, 500)).astype(np.float32) for i in range(3)}


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@given(st.dictionaries(st.text(), st.lists(st.text() | st.integers()), max_size=5))
def test_plain_dicts_come_back(content):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        np.save(path := Path(folder) / "x.npy", content)
        assert pickled.load(path) == content


def test_numpy_scalars_and_arrays_are_admitted(tmp_path):
    content = {np.int64(3): [np.str_("a")], "b": np.arange(4.0), "c": np.float32(2.5)}
    np.save(tmp_path / "x.npy", content)
    found = pickled.load(tmp_path / "x.npy")
    assert found[3] == ["a"]
    assert found["c"] == 2.5
    assert np.array_equal(found["b"], content["b"])


@pytest.mark.parametrize("read", [pickled.load, pickled.extents])
def test_what_would_run_code_is_refused_and_not_run(tmp_path, read):
    np.save(tmp_path / "x.npy", {"a": Harmful(tmp_path / "harm")})
    with pytest.raises(UserError, match=r"x\.npy is refused: it calls for (posix|nt)\.mkdir"):
        read(tmp_path / "x.npy")
    assert not (tmp_path / "harm").exists()
    np.save(tmp_path / "y.npy", {"a": OrderedDict()})
    with pytest.raises(UserError, match=r"collections\.OrderedDict"):
        read(tmp_path / "y.npy")


@pytest.mark.parametrize("protocol", [3, 4])
def test_extents_say_where_the_numbers_lie(tmp_path, protocol):
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(LARGE, dtype=object), file, protocol=protocol)
    found = pickled.extents(path)
    assert list(found) == list(LARGE)
    for video, place in found.items():
        numbers = np.fromfile(path, place.dtype, count=600 * 500, offset=place.offset).reshape(place.shape)
        assert np.array_equal(numbers, LARGE[video])


def test_small_arrays_come_as_they_are(tmp_path):
    small = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    np.save(tmp_path / "x.npy", small)
    for video, array in pickled.extents(tmp_path / "x.npy").items():
        assert np.array_equal(array, small[video])


def test_large_arrays_are_not_read(tmp_path):
    np.save(tmp_path / "x.npy", {f"v{i}": np.zeros((2000, 500), np.float32) for i in range(10)})
    tracemalloc.start()
    pickled.extents(tmp_path / "x.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # the file has 40 MB


def test_large_arrays_in_another_order_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", {"a": np.asfortranarray(LARGE["v0"])})
    with pytest.raises(UserError, match="another order than C's"):
        pickled.extents(tmp_path / "x.npy")


@pytest.mark.parametrize("read", [pickled.load, pickled.extents])
def test_damage_is_one_line_that_names_the_file(tmp_path, read):
    with pytest.raises(UserError, match=r"x\.npy is missing"):
        read(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", LARGE)
    whole = (tmp_path / "x.npy").read_bytes()
    for cut in (3, 90, 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.npy").write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"cut\.npy is no \.npy file with a dict, or is damaged"):
            read(tmp_path / "cut.npy")
    np.save(tmp_path / "numbers.npy", np.arange(3))
    np.save(tmp_path / "list.npy", np.array(None, dtype=object))
    for name in ("numbers.npy", "list.npy"):
        with pytest.raises(UserError, match=name):
            read(tmp_path / name)
