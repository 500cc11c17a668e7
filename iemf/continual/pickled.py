"""Dicts inside .npy files, which are pickles: read without running anything that a stranger put there.

Admitted are dict, list, tuple, str, int and numpy's arrays, dtypes and scalars; any other name ends the reading. Of
numpy nothing runs either: what it would build from a pickle's bytes, stand-ins check and build here, for a forged
dtype can make any address an object. A dict of large arrays is not loaded at all: :func:`extents` finds where in the
file each array's numbers lie.
"""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, ClassVar, NamedTuple

import numpy as np

from iemf.errors import UserError

LARGE = 1 << 20  # bytes; pickle keeps frames of small things well below
ARRAY_MAKERS = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since NumPy 2
PLAIN = re.compile(r"[biufcSU]\d+")  # booleans, numbers, text
BYTE_ORDERS = "<>=|"


class Extent(NamedTuple):
    """An array's bytes in a file, in C order."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class _Refused(pickle.UnpicklingError):
    """A name that is not admitted."""


class _Skipped(NamedTuple):
    """Bytes that were not read."""

    offset: int
    length: int


class _Skipping:
    """A file whose large pieces are passed over."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size = file, size
        self.readline, self.readinto = file.readline, file.readinto

    def read(self, length: int) -> bytes | _Skipped:
        if length < LARGE:
            return self.file.read(length)
        offset = self.file.tell()
        if offset + length > self.size:
            raise EOFError
        self.file.seek(length, 1)
        return _Skipped(offset, length)


class _Type:
    """Stands for a dtype."""

    def __init__(self, name: str, *_: object) -> None:
        if name not in ("O8", "O4") and not PLAIN.fullmatch(name):
            raise _Refused(f"it has numbers of dtype {name!r}")
        self.dtype = np.dtype(object if name.startswith("O") else name)

    def __setstate__(self, state: tuple) -> None:
        _, order, subarray, names, fields, *_ = state
        if subarray or names or fields or order not in BYTE_ORDERS:
            raise _Refused("it has a dtype that is not plain")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for an array."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, content = state
        self.shape, self.dtype, self.order, self.content = shape, kind.dtype, "F" if fortran else "C", content
        if isinstance(content, _Skipped):
            if fortran or content.length != self.dtype.itemsize * np.prod(shape, dtype=int):
                raise _Refused("an array is stored in another order than C's, or cut")
        elif self.dtype == object and not isinstance(content, list):
            raise _Refused("an array of objects has no list of them")

    def value(self, seen: dict[int, object]) -> Extent | np.ndarray:
        if isinstance(self.content, _Skipped):
            return Extent(self.content.offset, self.shape, self.dtype)
        if self.dtype == object:
            flat = np.empty(len(self.content), object)
            flat[:] = [_built(item, seen) for item in self.content]
        else:
            flat = np.frombuffer(self.content, self.dtype)
        return flat.reshape(self.shape, order=self.order)


class _ArrayClass:
    """Stands for numpy.ndarray, which is named in passing; never made."""

    def __new__(cls) -> None:
        raise _Refused("it makes an array in a way of its own")


def _scalar(kind: _Type, content: bytes) -> np.generic:
    return np.frombuffer(content, kind.dtype, count=1)[0]


ADMITTED = {
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy", "dtype"): _Type,
    **{(module, "_reconstruct"): lambda *_: _Array() for module in ARRAY_MAKERS},
    **{(module, "scalar"): _scalar for module in ARRAY_MAKERS},
}


def _admitted(module: str, name: str) -> object:
    try:
        return ADMITTED[module, name]
    except KeyError:
        raise _Refused(f"it calls for {module}.{name}") from None


class _Restricted(pickle._Unpickler):
    """The one in Python: the other insists on bytes, and for a memo of number 2^31 in a file of 30 bytes it takes
    32 GB."""

    find_class = staticmethod(_admitted)
    # bytearray(n) is n bytes of memory before the first is read.
    dispatch: ClassVar = {code: f for code, f in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}


def _built(content: object, seen: dict[int, object]) -> object:
    """Dicts, lists and tuples with arrays in place of what stands for them.

    Args:
        content: what was unpickled.
        seen: by id, what has been built: ten lists of ten times the list before them are built once each.
    """
    if id(content) in seen:
        return seen[id(content)]
    if isinstance(content, _Array):
        built = content.value(seen)
    elif isinstance(content, dict):
        built = {key: _built(value, seen) for key, value in content.items()}
    elif isinstance(content, (list, tuple)):
        built = type(content)(_built(value, seen) for value in content)
    else:
        return content
    seen[id(content)] = built
    return built


def load(path: Path) -> dict:
    """The dict in a .npy file.

    Raises:
        UserError: the file is missing, damaged, holds something else, or names what is not admitted.
    """

    def read(file: IO[bytes], _: int) -> object:
        return _inside(_Restricted(file).load())

    return _read(path, read)


def extents(path: Path) -> dict[str, Extent | np.ndarray]:
    """{key: where its array lies} of a .npy file with a dict of arrays; arrays below a MiB come as they are.

    Nothing large is read: 20 GB are gone through in seconds, in the memory of their keys.

    Raises:
        UserError: as :func:`load`.
    """

    def read(file: IO[bytes], size: int) -> object:
        return _inside(_Restricted(_Skipping(file, size)).load())

    return _read(path, read)


def _inside(array: _Array) -> object:
    """The one object of an array without dimensions, as np.save wraps a dict."""
    if array.shape != () or array.dtype != object:
        raise ValueError("numbers, no dict")
    return _built(array.content[0], {})


def _read(path: Path, read: Callable[[IO[bytes], int], object]) -> dict:
    """What ``read`` makes of the pickle behind the header."""
    try:
        with path.open("rb") as file:
            _skip_header(file)
            content = read(file, path.stat().st_size)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; is {path.parent} the right folder?") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    except _Refused as error:
        raise UserError(f"{path} is refused: {error}, and only dicts, lists, numbers, text and arrays are admitted; "
                        f"get it anew from where it is published") from None  # fmt: skip
    except Exception as error:  # damaged pickles raise whatever the operation at hand does
        raise UserError(f"{path} is no .npy file with a dict, or is damaged ({type(error).__name__}); "
                        f"get it anew from where it is published") from None  # fmt: skip
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not a dict; get it anew from where it is published")
    return content


def _skip_header(file: IO[bytes]) -> None:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(file)
    if dtype.kind != "O":
        raise ValueError("numbers, no dict")
