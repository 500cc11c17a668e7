"""Dicts in .npy files: what is admitted, what is refused, and that large arrays stay where they are."""

import os
import pickle
import resource
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


def forged(path, dtype, content, shape=(), inside=False):
    """A pickle of an array whose dtype is made of these arguments and this state."""

    class Reduced:
        def __init__(self, *parts):
            self.parts = parts

        def __reduce__(self):
            return self.parts

    maker = np.empty(0).__reduce__()[0]
    array = Reduced(maker, (np.ndarray, (0,), b"b"), (1, shape, Reduced(np.dtype, *dtype), False, content))
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array({"k": array}, dtype=object) if inside else array, file, protocol=4)


FIELD_OF_OBJECTS = (("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0))
SUBARRAY = (("f4", False, True), (3, "<", (np.dtype("O"), (2,)), None, None, -1, -1, 0))
OBJECTS_OF_BYTES = (("O8", False, True), (3, "|", None, None, None, -1, -1, 63))


@pytest.mark.parametrize("read", [pickled.load, pickled.extents])
@pytest.mark.parametrize("dtype", [FIELD_OF_OBJECTS, SUBARRAY, OBJECTS_OF_BYTES])
@pytest.mark.parametrize("inside", [True, False])
def test_bytes_never_become_addresses_of_objects(tmp_path, read, dtype, inside):
    """Numpy itself would take the eight bytes for an object's address; the process would die, or worse."""
    forged(tmp_path / "x.npy", dtype, b"A" * 8, (1,) if inside else (), inside)
    with pytest.raises(UserError, match=r"x\.npy is refused: (it|an array)"):
        read(tmp_path / "x.npy")


def test_an_array_is_made_in_one_way(tmp_path):
    class Buffer:
        def __reduce__(self):
            return np.ndarray, ((1,), object, b"A" * 8)

    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(Buffer(), file)
    with pytest.raises(UserError, match=r"x\.npy"):
        pickled.load(tmp_path / "x.npy")


@pytest.mark.parametrize("read", [pickled.load, pickled.extents])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_cut_and_many_damaged_bytes_are_one_line(tmp_path, read, protocol):
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        begin = file.tell()
        pickle.dump(np.array({"a": np.arange(3.0), "b": ["c", np.int64(5)]}, dtype=object), file, protocol=protocol)
    whole = path.read_bytes()
    rng = np.random.default_rng(protocol)
    damaged = [whole[:cut] for cut in range(len(whole))]
    for _ in range(300):
        changed = bytearray(whole)
        changed[rng.integers(begin, len(whole))] = rng.integers(256)
        damaged.append(bytes(changed))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            read(path)
        except UserError as error:
            refused += "x.npy" in str(error)
    assert refused > len(whole)  # whatever else a byte may do, it ends in no other exception


def as_npy(path, pickled):
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickled)


SWELLING = {
    "a memo of number 2^31 - 1": b"\x80\x04N" + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f" + b".",
    "ten billion bytes to come": b"\x80\x05" + pickle.BYTEARRAY8 + (10**10).to_bytes(8, "little") + b".",
    "text that is not there": b"\x80\x04" + pickle.BINUNICODE8 + (10**10).to_bytes(8, "little") + b".",
    "a frame that is not there": b"\x80\x04" + pickle.FRAME + (10**10).to_bytes(8, "little") + b".",
}


@pytest.mark.parametrize("read", [pickled.load, pickled.extents])
@pytest.mark.parametrize("content", SWELLING.values(), ids=SWELLING)
def test_a_small_file_takes_no_memory(tmp_path, read, content):
    as_npy(tmp_path / "x.npy", content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"x\.npy"):
        read(tmp_path / "x.npy")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_lists_of_lists_of_lists_are_built_once_each(tmp_path):
    """Thirty lists of ten times the list before: 10^30 if each were built whenever it is met."""
    content = ["x"]
    for _ in range(30):
        content = [content] * 10
    np.save(tmp_path / "x.npy", {"a": content})
    found = pickled.load(tmp_path / "x.npy")["a"]
    assert len(found) == 10
    assert found[0] is found[9]


def test_a_list_that_holds_itself_is_refused(tmp_path):
    content = []
    content.append(content)
    np.save(tmp_path / "x.npy", {"a": content})
    with pytest.raises(UserError, match=r"is damaged \(RecursionError\)"):
        pickled.load(tmp_path / "x.npy")
