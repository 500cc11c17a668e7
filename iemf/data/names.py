"""Names of files: their order, and the form in which they are compared."""

import re
import unicodedata
from pathlib import Path


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC), whichever a file system or an archive has it in."""
    return unicodedata.normalize("NFC", name)


def is_utf8(name: str) -> bool:
    """Whether a name can be written as UTF-8; file systems hold any bytes, which Python shows as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key by which frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
