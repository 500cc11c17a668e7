"""What tells one state of a user's data from another, wherever the folder lies."""

import hashlib
import os
from pathlib import Path

from iemf.data.preparation import manifest


def digest_of(root: Path) -> str | None:
    """Sixteen hexadecimal digits of a prepared folder, or of a tree of files by their names and sizes; None if there is
    no such folder."""
    if manifest.is_prepared(root):
        return manifest.digest(root)
    if not root.is_dir():
        return None
    mark = hashlib.sha256()
    for folder, inner, files in os.walk(root):
        inner.sort()
        for name in sorted(files):
            path = Path(folder, name)
            size = path.stat().st_size if path.exists() else -1  # a link to nothing
            mark.update(os.fsencode(f"{path.relative_to(root)}\0{size}\0"))
    return mark.hexdigest()[:16]
