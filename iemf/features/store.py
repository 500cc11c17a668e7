"""Features on disk: visual.npy and audio.npy of float16, a row a clip, written row by row, gone on with after a kill.

    visual.npy   [N, times, places, D]    147 GB for the 61,195 clips of VS100-CI
    audio.npy    [N, D_a]
    index.json   which row is which clip, classes and splits; written last: a folder without it is not finished

Rows are written in place with ``pwrite``, not through a map, so memory does not grow with N; a row counts as done
only once its bytes are on the disk.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from iemf.errors import UserError
from iemf.files import read_json, write_json
from iemf.lock import holds_nothing

INDEX, PLAN, JOURNAL = "index.json", "extraction.json", "journal.bin"
FORMAT = 1
WAITING, DONE, FAULTY = 0, 1, 2
DTYPE = np.dtype("<f2")


class FeatureStore:
    """The files of one extraction, begun or gone on with.

    Args:
        folder: made if need be.
        plan: whatever the features depend on, as JSON values; with "ids", the N clips in row order.
        shapes: {"audio": (D_a,), "visual": (times, places, D)} of a row.

    Attributes:
        state: [N] uint8, WAITING, DONE or FAULTY.

    Raises:
        UserError: the folder holds features of another plan or something else, or the disk is too small.
    """

    def __init__(self, folder: Path, plan: dict, shapes: dict[str, tuple[int, ...]]) -> None:
        self.folder, self.shapes, self.count = folder, shapes, len(plan["ids"])
        need = sum(DTYPE.itemsize * self.count * int(np.prod(shape)) for shape in shapes.values())
        claim(folder, plan | {"shapes": {kind: list(shape) for kind, shape in shapes.items()}}, need)
        self.state = np.zeros(self.count, np.uint8)
        journal = folder / JOURNAL
        if journal.exists():
            kept = np.frombuffer(journal.read_bytes(), np.uint8)
            self.state[: len(kept)] = kept[: self.count]
        elif (folder / INDEX).exists():
            missing = set(read_json(folder / INDEX)["missing"])
            self.state[:] = [FAULTY if clip in missing else DONE for clip in plan["ids"]]
        self._offsets = {kind: self._allocate(kind) for kind in shapes}

    @property
    def finished(self) -> bool:
        """Whether the index has been written."""
        return (self.folder / INDEX).exists()

    def todo(self) -> list[int]:
        """Rows that are not written yet."""
        return np.flatnonzero(self.state == WAITING).tolist()

    def write(self, rows: Sequence[int], features: dict[str, np.ndarray]) -> None:
        """Put rows on the disk: {"audio": [n, D_a], "visual": [n, times, places, D]}.

        Raises:
            UserError: a feature is beyond float16 or no number; the disk is full.
        """
        for kind, values in features.items():
            with np.errstate(over="ignore"):  # told below
                stored = values.astype(DTYPE)
            if not np.isfinite(stored).all():
                bad = int(rows[int(np.flatnonzero(~np.isfinite(stored).reshape(len(rows), -1).all(1))[0])])
                raise UserError(f"{self.folder / kind}.npy: row {bad} has numbers that float16 does not hold")
            with _synced(self.folder / f"{kind}.npy") as file:
                stride = stored[0].nbytes
                for row, part in zip(rows, stored, strict=True):
                    _write_all(file, part.tobytes(), self._offsets[kind] + row * stride)
        self.mark(rows, DONE)

    def mark(self, rows: Sequence[int], state: int) -> None:
        """Remember on disk what has become of rows."""
        self.state[list(rows)] = state
        with _synced(self.folder / JOURNAL) as file:
            _write_all(file, self.state.tobytes(), 0)

    def finish(self, index: dict) -> None:
        """Write index.json; the folder can be read from now on.

        Raises:
            ValueError: rows are left to do.
        """
        if rows := self.todo():
            raise ValueError(f"{len(rows)} rows are not written")
        write_json(self.folder / INDEX, {"format": FORMAT} | index)
        (self.folder / JOURNAL).unlink(missing_ok=True)

    def _allocate(self, kind: str) -> int:
        """Make the file, with holes for its rows; the offset of the first."""
        path = self.folder / f"{kind}.npy"
        header = {"descr": DTYPE.str, "fortran_order": False, "shape": (self.count, *self.shapes[kind])}
        if not path.exists():
            temporary = path.with_name(f".{path.name}")
            with temporary.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                file.truncate(file.tell() + DTYPE.itemsize * self.count * int(np.prod(self.shapes[kind])))
            temporary.replace(path)
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            return file.tell()


def claim(folder: Path, plan: dict, need: int = 0) -> None:
    """Make a folder an extraction's own, or see that it is this extraction's.

    Args:
        folder: made if need be.
        plan: whatever the features depend on, as JSON values.
        need: bytes that will be written.

    Raises:
        UserError: it holds features of another plan or something else, cannot be written, or the disk is too small.
    """
    path = folder / PLAN
    if path.exists():
        before = read_json(path)
        differing = [field for field in sorted(plan.keys() | before.keys()) if plan.get(field) != before.get(field)]
        if differing:
            field = differing[0]
            told = "" if field == "ids" else f" ({before.get(field)} then, {plan.get(field)} now)"
            raise UserError(f"`out` {folder} holds features of other {field}{told}; name another folder or remove it")
        return
    try:
        if folder.exists() and not holds_nothing(folder):
            raise UserError(f"`out` {folder} holds files that are not an extraction's; name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        if need > (free := shutil.disk_usage(folder).free):
            raise UserError(f"`out` {folder}: the features need {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
                            f"name a folder on a larger disk")  # fmt: skip
        write_json(path, plan)
    except OSError as error:
        raise UserError(f"`out` {folder} cannot be written ({error.strerror}); name another folder") from None


@contextmanager
def _synced(path: Path) -> Iterator[int]:
    """A descriptor to write to; what was written is on the disk when the block has ended."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            yield file
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room and run the same command "
                        f"again") from None  # fmt: skip


def _write_all(file: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
