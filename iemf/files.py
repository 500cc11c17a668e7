"""Files written whole or not at all, and JSON with errors that name the file."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from iemf.errors import UserError

# What a killed process leaves of a file it was writing; of our kinds of files alone, not .notes.2024.
UNFINISHED = re.compile(r"\.[^.]+\.(json|jsonl|pt|npy|npz|arrow|csv|md|html|png)\.\d+")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of writing and closing say of which file; the system names it in those of opening alone."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def remove_unfinished(*folders: Path) -> None:
    """Delete what killed programs left of files they were writing; the caller holds the folders' lock."""
    for folder in folders:
        for path in folder.iterdir():
            if UNFINISHED.fullmatch(path.name) and path.is_file() and not _is_alive(int(path.suffix[1:])):
                path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    """Whether another process of this machine has this number, as one of several that train a run together may."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    except OverflowError:  # no process has such a number
        return False
    return True


@contextmanager
def whole_file(path: Path, mode: str) -> Iterator[IO]:
    """Open a sibling of ``path`` to write; renamed over ``path`` if the block ends well, removed if it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _named(path), temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or none."""
    with whole_file(path, "w") as file:
        file.write(text)


def write_json(path: Path, content: object) -> None:
    """JSON, indented, atomically; NaN is refused rather than written."""
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """A JSON file as a dict.

    Raises:
        UserError: it is missing or not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; is {path.parent} the right folder?") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); remove it and run the command that made it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
