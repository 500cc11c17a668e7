"""The order of numbered files."""

import re
from pathlib import Path


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key by which frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
