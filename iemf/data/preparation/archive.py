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


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive that can be unpacked here."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, target: Path, progress: bool = True) -> None:
    """Unpack into the new folder ``target``, which appears when everything is there.

    Raises:
        UserError: the archive is damaged, a name in it leads outside, or the place cannot be written; nothing is left.
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
            for member in tqdm(file.infolist(), **bar):
                _refuse_outside(archive, member.filename)
                file.extract(member, target)
        return
    with tarfile.open(archive) as file:
        for member in tqdm(file, **bar):
            _refuse_outside(archive, member.name)
            file.extract(member, target, filter="data")
        # tarfile takes a damaged header for the end. The end is a block of zeros; and a compressed file's checksum
        # is looked at when all of it has been read.
        file.fileobj.seek(file.offset)
        if file.fileobj.read(BLOCK) != bytes(BLOCK):
            raise tarfile.ReadError("it breaks off before its end mark")
        while file.fileobj.read(2**20):
            pass


def _refuse_outside(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or os.path.splitdrive(name)[0]:
        raise UserError(f"{archive} holds a name that leads outside its folder, {name!r}; do not trust this file")
