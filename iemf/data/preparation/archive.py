"""Unpacking what was downloaded, without letting a name in an archive write outside the target."""

import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from iemf.errors import UserError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, RuntimeError)
BLOCK = 512  # bytes of a tar archive
RATIO, ALWAYS = 100, 2**30  # an archive may unpack to a GiB, and beyond that to so many times its own size
LONGEST_NAME = 2**20  # bytes of a name, or of what a tar archive says beside it


class _Member(tarfile.TarInfo):
    """Names and remarks, which tarfile reads into memory whole, have a bound."""

    WORDS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
             tarfile.GNUTYPE_LONGLINK)  # fmt: skip

    def _proc_member(self, file: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in self.WORDS and self.size > LONGEST_NAME:
            raise tarfile.ReadError(f"it has a name of {self.size} bytes")
        return super()._proc_member(file)


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive that can be unpacked here."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, target: Path, progress: bool = True) -> None:
    """Unpack into the new folder ``target``, which appears when everything is there.

    Raises:
        UserError: the archive is damaged, a name or link in it leads outside, it unpacks to far more than media do, or
            to more than there is room for, or the place cannot be written; nothing is left.
    """
    partial = target.with_name(f"{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _extract(archive, partial, progress)
        partial.rename(target)
    except DAMAGED as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{archive} cannot be unpacked ({reason}); download it again") from None
    except OSError as error:
        if error.errno is None:  # bz2's way of saying so
            raise UserError(f"{archive} cannot be unpacked ({error}); download it again") from None
        raise UserError(f"{archive} cannot be unpacked into {target} ({error.strerror or error}); "
                        f"make room there or name another `out`") from None  # fmt: skip
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: Path, target: Path, progress: bool) -> None:
    bar = {"desc": f"unpacking {archive.name}", "unit": "file", "disable": not progress, "dynamic_ncols": True}
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            _Room(archive, target).take(sum(member.file_size + BLOCK for member in file.infolist()))
            for member in tqdm(file.infolist(), **bar):
                _refuse_outside(archive, member.filename)
                file.extract(member, target)
        return
    room = _Room(archive, target)
    with tarfile.open(archive, tarinfo=_Member) as file:
        for member in tqdm(file, **bar):
            room.take(member.size + BLOCK)
            _refuse_outside(archive, member.name)
            file.extract(member, target, filter="data")
        # tarfile takes a damaged header for the end. The end is a block of zeros; and a compressed file's checksum
        # is looked at when all of it has been read.
        file.fileobj.seek(file.offset)
        if file.fileobj.read(BLOCK) != bytes(BLOCK):
            raise tarfile.ReadError("it breaks off before its end mark")
        while file.fileobj.read(2**20):
            pass


class _Room:
    """How much an archive may unpack to."""

    def __init__(self, archive: Path, target: Path) -> None:
        self.archive, self.target, self.taken = archive, target, 0
        self.free = shutil.disk_usage(target).free
        self.most = max(ALWAYS, RATIO * archive.stat().st_size)

    def take(self, size: int) -> None:
        """Raise UserError if so much more is too much."""
        self.taken += size
        if self.taken > self.most:
            raise UserError(f"{self.archive} unpacks to more than {self.most / 1e9:.1f} GB, {RATIO} times its size or "
                            f"more, which media never do; do not trust this file")  # fmt: skip
        if self.taken > self.free:
            raise UserError(f"{self.archive} unpacks to more than the {self.free / 1e9:.1f} GB that are free at "
                            f"{self.target.parent}; make room there or name another `out`")  # fmt: skip


def _refuse_outside(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or os.path.splitdrive(name)[0]:
        raise UserError(f"{archive} holds a name that leads outside its folder, {name!r}; do not trust this file")
