"""Files that lie in two splits, byte for byte: what was learnt from one is no test of the other."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from iemf.data.clip import Clip

BLOCK = 4096  # bytes


class Twins(NamedTuple):
    """How many files of a split are in an earlier one too, and the first of them with its like."""

    split: str
    earlier: str
    count: int
    total: int
    first: tuple[Path, Path]

    def __str__(self) -> str:
        later, earlier = self.first
        return (f"{self.count} of {self.total} files in {self.split} are in {self.earlier} too, byte for byte: the "
                f"first, {later}, is {earlier}; remove one of each two")  # fmt: skip


def find_twins(splits: Mapping[str, Sequence[Clip]]) -> list[Twins]:
    """Per pair of splits that share files; files of one size are opened, and those alike so far are read whole."""
    seen: dict[str, dict[int, list[Path]]] = {}
    found = []
    marks = _Marks()
    for split, clips in splits.items():
        files = {path: path.stat().st_size for clip in clips for path in clip.files if path.is_file()}
        for earlier, by_size in seen.items():
            alike = ((path, next((other for other in by_size[size] if marks.same(path, other)), None))
                     for path, size in files.items() if size)  # fmt: skip
            if pairs := [pair for pair in alike if pair[1] is not None]:
                found.append(Twins(split, earlier, len(pairs), len(files), pairs[0]))
        seen[split] = defaultdict(list)
        for path, size in files.items():
            seen[split][size].append(path)
    return found


class _Marks:
    """Digests of files, each computed once: of three blocks, and of the whole where those agree."""

    def __init__(self) -> None:
        self.blocks: dict[Path, bytes] = {}
        self.whole: dict[Path, bytes] = {}

    def same(self, one: Path, other: Path) -> bool:
        """Whether two files of one size have one content."""
        return self._blocks(one) == self._blocks(other) and self._whole(one) == self._whole(other)

    def _blocks(self, path: Path) -> bytes:
        if path not in self.blocks:
            size, mark = path.stat().st_size, hashlib.sha256()
            with path.open("rb") as file:
                for begin in (0, size // 2, max(0, size - BLOCK)):
                    file.seek(begin)
                    mark.update(file.read(BLOCK))
            self.blocks[path] = mark.digest()
        return self.blocks[path]

    def _whole(self, path: Path) -> bytes:
        if path not in self.whole:
            with path.open("rb") as file:
                self.whole[path] = hashlib.file_digest(file, "sha256").digest()
        return self.whole[path]
