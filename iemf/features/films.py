"""Films of a data set by their names, and their decoding in worker processes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from iemf.data import video
from iemf.data.clip import is_litter
from iemf.errors import UserError
from iemf.pool import begin_worker


class Read(NamedTuple):
    """One film: its row, what was read of it, or why it cannot be."""

    row: int
    content: Any
    fault: str | None


def find_films(source: Path) -> dict[str, Path]:
    """{name without its extension: file} of every film below a folder.

    Raises:
        UserError: no folder, no film, or one name twice.
    """
    if not source.is_dir():
        raise UserError(f"`source` {source} is not a folder; name the one that holds the films")
    found: dict[str, Path] = {}
    for path in sorted(source.rglob("*")):
        if any(map(is_litter, path.relative_to(source).parts)):
            continue
        if path.suffix.lower() in video.EXTENSIONS and path.is_file():
            if path.stem in found:
                raise UserError(f"`source` {source} holds {path.stem!r} twice: {found[path.stem]} and {path}; keep one")
            found[path.stem] = path
    if not found:
        raise UserError(f"`source` {source} holds no films ({', '.join(video.EXTENSIONS)})")
    return found


class _Films(Dataset):
    """Films as ``read`` sees them; a film that cannot be decoded is told, not raised."""

    def __init__(self, films: Sequence[tuple[int, Path]], read: Callable[[Path], Any]) -> None:
        self.films, self.read = films, read

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, number: int) -> Read:
        row, path = self.films[number]
        try:
            return Read(row, self.read(path), None)
        except UserError as error:
            return Read(row, None, str(error))


def _begin(_: int) -> None:
    begin_worker(1)


def decoded(
    films: Sequence[tuple[int, Path]], read: Callable[[Path], Any], batch: int, workers: int
) -> Iterator[list[Read]]:
    """Films in batches and in order, decoded ahead of their use by ``workers`` processes; 0: by this one.

    Args:
        films: (row, file) of each.
        read: of one film, picklable.
    """
    loader = DataLoader(
        _Films(films, read), batch, num_workers=workers, collate_fn=list, worker_init_fn=_begin if workers else None,
        multiprocessing_context="spawn" if workers else None, pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
    yield from loader
