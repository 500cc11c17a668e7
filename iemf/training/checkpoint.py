"""Checkpoints: one file, written whole or not at all, read back without unpickling code; the one before is kept."""

import json
import os
import shutil
from pathlib import Path
from typing import IO

import torch

from iemf.errors import UserError
from iemf.files import whole_file
from iemf.tensors import load_tensors


class _Told:
    """A file that remembers why it could not be written: torch's writer says "unexpected pos" of a full disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.error = file, None

    def write(self, content: bytes) -> int:
        try:
            return self.file.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def save(path: Path, content: dict, before: Path | None = None) -> None:
    """Write tensors, numbers, strings, and lists, tuples and dicts of them, atomically.

    Args:
        path: the file.
        content: what it is to hold.
        before: what ``path`` holds until now is kept under this name; at every moment one of the two is whole.

    Raises:
        UserError: it cannot be written, of a full disk for instance; ``path`` is as it was.
    """
    try:
        with whole_file(path, "wb") as file:
            told = _Told(file)
            try:
                torch.save(content, told)
            except RuntimeError as error:
                raise told.error or error from None
            if before is not None and path.exists():
                _keep(path, before)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); what was written before is kept: make room or "
                        f"mend the place, then go on with `resume`") from None  # fmt: skip


def _keep(path: Path, before: Path) -> None:
    """A second name for what ``path`` holds: no byte is written where the file system has hard links."""
    temporary = before.with_name(f".{before.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:
        shutil.copyfile(path, temporary)
    temporary.replace(before)


def load(path: Path) -> dict:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: the file is missing or damaged; the message names it.
    """
    try:
        content = load_tensors(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; train the run again or go on with `resume`") from None
    except Exception as error:  # damaged bytes make the reader fail in any way whatever
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is not a readable checkpoint ({reason}); remove the run's folder") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a readable checkpoint (it holds no dict); remove the run's folder")
    return content


def load_latest(path: Path, before: Path) -> tuple[Path, dict, str | None]:
    """The newest checkpoint that can be read: (its path, its content, what to say if it is not the last).

    Where there is none at all the content is empty.

    Raises:
        UserError: there are some, and none can be read; the message names the last.
    """
    if not path.exists() and not before.exists():
        return path, {}, None
    try:
        return path, load(path), None
    except UserError as error:
        if not before.exists():
            raise
        content = load(before)
        why = str(error).rsplit(";", 1)[0]
        return before, content, f"{why}; going on from the one before, {before.name}"


def check(path: Path, content: dict, run: str, processes: int, options: str = "{}") -> None:
    """Raise UserError unless a run can go on from this checkpoint.

    Args:
        path: of the file, for the message.
        content: of it.
        run: see :attr:`iemf.training.record.RunFolder.identity`.
        processes: of the run that is to go on.
        options: see :attr:`iemf.training.record.RunFolder.options`; differences are named.
    """
    if "stage_name" not in content:
        raise UserError(f"{path} was written by another version of this program; train the run anew in another `out`")
    if content["run"] != run:
        raise UserError(f"{path} is of a run with other options or data{_differences(content, options)}; put the run's "
                        f"own checkpoint back, or name a new `out`")  # fmt: skip
    if content["processes"] != processes:
        raise UserError(f"{path} is of a run with {content['processes']} process(es), this one has {processes}; resume "
                        f"with as many")  # fmt: skip


def _differences(content: dict, options: str) -> str:
    """ " (lr 0.1 there, 0.2 here)", every difference; nothing of a checkpoint that does not say."""
    try:
        there, here = json.loads(content["options"]), json.loads(options)
        names = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""
    told = ", ".join(f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in names)
    return f" ({told})" if told else ""
