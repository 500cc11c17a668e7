"""What a data set's official files say there is: the common form that every reader of a layout returns."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iemf.data.clip import Clip, is_litter, visible
from iemf.errors import UserError


@dataclass(frozen=True)
class Listing:
    """Every clip of a data set by split, readable or not, in an order that depends on names alone."""

    classes: tuple[str, ...]
    splits: dict[str, list[Clip]]
    made_from: dict[str, str] = field(default_factory=dict)  # list files and their SHA-256, or how the split was drawn
    remarks: tuple[str, ...] = ()  # what the user should know before preparing, a line each


def find_folder(source: Path, name: str) -> Path:
    """The folder ``name`` in ``source``, or in the one folder or two that an archive may have wrapped around it.

    Raises:
        UserError: there is none, or more than one.
    """
    if not source.is_dir():
        raise UserError(f"`source` {source} is not a folder; name the one that holds {name}")
    for pattern in (name, f"*/{name}", f"*/*/{name}"):
        found = [path for path in sorted(source.glob(pattern)) if path.is_dir()]
        if found := [path for path in found if not any(map(is_litter, path.relative_to(source).parts))]:
            if len(found) > 1:
                raise UserError(
                    f"{source} holds {len(found)} folders {name}: {found[0]}, {found[1]}; name one's parent"
                )
            return found[0]
    raise UserError(f"{source} holds no folder {name}, nor does a folder in it; is `source` the right one?")


def find_file(folders: Sequence[Path], name: str) -> Path | None:
    """The first file of this name in some folders."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def files_by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """{name without suffix: file} of the files of these kinds; of two with one stem the kind that is named first."""
    found = {}
    for suffix in reversed(suffixes):
        found |= {path.stem: path for path in visible(folder) if path.suffix.lower() == suffix}
    return dict(sorted(found.items()))


def read_list(path: Path, columns: int) -> Iterator[tuple[str, list[str]]]:
    """("file line n", fields) of every line that is not empty.

    Raises:
        UserError: another number of fields, or not text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, fields in enumerate(csv.reader(file), start=1):
                if fields and len(fields) != columns:
                    raise UserError(f"{path} line {number} has {len(fields)} fields, not {columns}: {fields!r}")
                if fields:
                    yield f"{path} line {number}", [text.strip() for text in fields]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a list in UTF-8 ({error}); download it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
