"""One program at a time writes into a folder: a lock of the operating system, which a crash lets go of."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from iemf.errors import UserError
from iemf.files import UNFINISHED

LOCK, HOLDER = ".lock", ".lock-holder"
GRACE = 1.0  # seconds: workers of a program that was killed take a moment to end


class InUse(UserError):
    """Another program holds the folder: the same call may succeed when it has ended."""


@contextmanager
def only_writer(folder: Path, work: str) -> Iterator[None]:
    """Hold ``folder`` against other programs, on this machine and on others that share the disk, while the block runs.

    What is left of it afterwards is at most the file ``.lock``, which nobody holds; of a block that fails nothing, nor
    of the folder if it was made here and is empty.

    Args:
        folder: made if need be.
        work: what is done there, for whoever is refused: "is training".

    Raises:
        InUse: another program holds the folder.
        UserError: it cannot be written to.
    """
    made, lock = not folder.exists(), FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = not (folder / LOCK).exists()
        lock.acquire(timeout=GRACE)
        (folder / HOLDER).write_text(f"process {os.getpid()} on {platform.node()} {work}", encoding="utf-8")
    except Timeout:
        raise InUse(f"`out` {folder} is in use: {_holder(folder)} there; wait for its end or name another "
                    f"folder") from None  # fmt: skip
    except OSError as error:
        lock.release()
        raise UserError(f"`out` {folder} cannot be written ({error.strerror}); name another folder") from None
    try:
        yield
    except BaseException:
        if fresh:
            (folder / LOCK).unlink(missing_ok=True)
        raise
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        if made and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
        lock.release()


def holds_nothing(folder: Path) -> bool:
    """Whether a folder is empty, the files of its lock aside, and what a killed program was writing there."""
    return all(path.name in (LOCK, HOLDER) or UNFINISHED.fullmatch(path.name) for path in folder.iterdir())


def _holder(folder: Path) -> str:
    """Who holds a folder and what for, as far as it is known."""
    try:
        return (folder / HOLDER).read_text(encoding="utf-8")
    except FileNotFoundError:  # it is about to write it, or has just removed it
        return "another program is at work"
