"""Films of a data set by their names, and their decoding in worker processes."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from iemf.data import video
from iemf.data.clip import is_litter
from iemf.data.container import MediaWarning
from iemf.errors import UserError
from iemf.pool import begin_worker


class Read(NamedTuple):
    """One film: its row, what was read of it, or why it cannot be, and what is doubtful about it."""

    row: int
    content: Any
    fault: str | None
    notes: tuple[str, ...]


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
    """Films as ``read`` sees them; a film that cannot be decoded is told, not raised; so is what is doubtful."""

    def __init__(self, films: Sequence[tuple[int, Path]], read: Callable[[Path], Any]) -> None:
        self.films, self.read = films, read

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, number: int) -> Read:
        row, path = self.films[number]
        content, fault = None, None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MediaWarning)
            try:
                content = self.read(path)
            except UserError as error:
                fault = str(error)
        for warning in caught:
            if not issubclass(warning.category, MediaWarning):
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        said = (str(warning.message) for warning in caught if issubclass(warning.category, MediaWarning))
        return Read(row, content, fault, tuple(dict.fromkeys(said)))


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
