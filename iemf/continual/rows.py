"""Features too many for memory: rows of a file, read when a batch asks for them.

Not memory-mapped: pages of a map count as the process's own, so its memory would grow with what it has read, and each
row would be fetched page by page. ``preadv`` fills the batch directly; several threads keep a disk busy.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from iemf.errors import UserError

THREADS = 4


class FileRows:
    """Arrays of one shape in one file, indexed by a list of rows.

    Args:
        path: the file.
        offsets: [N], where each row begins, bytes.
        shape: of a row.
        dtype: of its numbers, which lie in C order.
    """

    def __init__(self, path: Path, offsets: Sequence[int], shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.offsets, self.dtype = path, np.asarray(offsets, dtype=np.int64), np.dtype(dtype)
        self.shape = (len(self.offsets), *shape)
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror})") from None
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="rows")

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, rows: Sequence[int]) -> np.ndarray:
        """[len(rows), *shape], as stored.

        Raises:
            UserError: the file ends before a row does.
        """
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        self.read_into(rows, out)
        return out

    def read_into(self, rows: Sequence[int], out: np.ndarray) -> None:
        """Fill ``out`` [len(rows), *shape], contiguous."""
        views = out.reshape(len(rows), int(np.prod(self.shape[1:]))).view(np.uint8)
        # list(): what a thread raised is raised here.
        list(self._pool.map(self._read, zip(self.offsets[list(rows)].tolist(), views, strict=True)))

    def _read(self, piece: tuple[int, np.ndarray]) -> None:
        offset, view = piece
        done = 0
        while done < len(view):  # the system may return less than it is asked for
            count = os.preadv(self._file.fileno(), [memoryview(view)[done:]], offset + done)
            if count == 0:
                raise UserError(f"{self.path} is cut: it ends before byte {offset + len(view)}; get or make it anew")
            done += count


def npy_rows(path: Path, rows: Sequence[int]) -> FileRows:
    """Some rows of a .npy file [N, ...] of float16 or float32.

    Raises:
        UserError: it is missing, no such file, of another dtype or order, or shorter than its header says.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            begin = file.tell()
        size = path.stat().st_size
    except FileNotFoundError:
        raise UserError(f"{path} is missing; is {path.parent} the right folder?") from None
    except Exception as error:  # a damaged header makes its parser fail in any way whatever
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is no .npy file ({reason}); make it anew") from None
    check_numbers(path, dtype)
    if fortran or len(shape) < 2:
        raise UserError(f"{path} is not of shape [N, ...] in C order, but {list(shape)}; make it anew")
    stride = dtype.itemsize * int(np.prod(shape[1:]))
    if size < begin + stride * shape[0]:
        raise UserError(f"{path} is cut: {size} bytes of {begin + stride * shape[0]}; get or make it anew")
    if max(rows, default=-1) >= shape[0]:
        raise UserError(f"{path} has {shape[0]} rows, row {max(rows)} is called for; make it anew")
    return FileRows(path, [begin + stride * row for row in rows], shape[1:], dtype)


def check_numbers(path: Path, dtype: np.dtype, what: str = "") -> None:
    """Raise UserError unless ``dtype`` is float16 or float32 of this machine's byte order."""
    if dtype not in (np.dtype(np.float16), np.dtype(np.float32)):
        raise UserError(f"{path}: {what}dtype {dtype}, expected float16 or float32; make the features anew")
