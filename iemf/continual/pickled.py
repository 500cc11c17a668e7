"""Dicts inside .npy files, which are pickles: read without running anything that a stranger put there.

Admitted are dict, list, tuple, str, int and numpy's arrays, dtypes and scalars; any other name ends the reading.
A dict of large arrays is not loaded at all: :func:`extents` finds where in the file each array's numbers lie.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from iemf.errors import UserError

LARGE = 1 << 20  # bytes; pickle keeps frames of small things well below
ARRAY_MAKERS = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since NumPy 2
MAKE_ARRAY, MAKE_SCALAR = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(module, "_reconstruct"): MAKE_ARRAY for module in ARRAY_MAKERS},
    **{(module, "scalar"): MAKE_SCALAR for module in ARRAY_MAKERS},
}


class Extent(NamedTuple):
    """An array's bytes in a file, in C order."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class _Refused(pickle.UnpicklingError):
    """A name that is not admitted."""


def _admitted(module: str, name: str) -> object:
    try:
        return ADMITTED[module, name]
    except KeyError:
        raise _Refused(f"it calls for {module}.{name}") from None


class _Restricted(pickle.Unpickler):
    find_class = staticmethod(_admitted)


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


class _Array:
    """Stands for an array while pickle puts it together."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, content = state
        if isinstance(content, _Skipped) and (fortran or content.length != dtype.itemsize * np.prod(shape, dtype=int)):
            raise _Refused("an array is stored in another order than C's, or cut")
        self.shape, self.dtype, self.content, self.state = shape, dtype, content, state

    def value(self) -> Extent | np.ndarray:
        if isinstance(self.content, _Skipped):
            return Extent(self.content.offset, self.shape, self.dtype)
        array = np.empty(0)
        array.__setstate__(self.state)
        return array


class _Locating(pickle._Unpickler):  # the one in Python: the other insists on bytes
    def find_class(self, module: str, name: str) -> object:
        found = _admitted(module, name)
        return (lambda *_: _Array()) if found is MAKE_ARRAY else found


def load(path: Path) -> dict:
    """The dict in a .npy file.

    Raises:
        UserError: the file is missing, damaged, holds something else, or names what is not admitted.
    """

    def read(file: IO[bytes], _: int) -> object:
        return _Restricted(file).load().item()

    return _read(path, read)


def extents(path: Path) -> dict[str, Extent | np.ndarray]:
    """{key: where its array lies} of a .npy file with a dict of arrays; arrays below a MiB come as they are.

    Nothing large is read: 20 GB are gone through in seconds, in the memory of their keys.

    Raises:
        UserError: as :func:`load`.
    """

    def read(file: IO[bytes], size: int) -> object:
        content = _Locating(_Skipping(file, size)).load().content[0]
        return {key: array.value() for key, array in content.items()}

    return _read(path, read)


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
    # Damaged pickles raise whatever the operation at hand does.
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError,
            OverflowError, MemoryError, UnicodeDecodeError) as error:  # fmt: skip
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
