"""What disks and strangers do to files."""

import contextlib
import resource
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def full_disk(largest: int) -> Iterator[None]:
    """No file grows beyond ``largest`` bytes: a limit of the system's, which writers meet as they do a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def packed(source: Path, target: Path) -> None:
    """A zip file with the same parts, compressed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part), compress_type=zipfile.ZIP_DEFLATED)


class Harmful:
    """Unpickled, it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


class Swelling:
    """Unpickled, it would be ten billion bytes."""

    def __reduce__(self):
        return bytearray, (10**10,)
