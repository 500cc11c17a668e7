"""What is tried, and which trial reads which option."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from iemf.errors import UserError


@dataclass(frozen=True)
class ReliabilityConfig:
    """Kill programs at any moment, feed readers damaged and hostile files, or run for long; and count."""

    what: Annotated[Literal["kills", "fuzz", "soak"], tyro.conf.Positional]
    """kills: SIGKILL in the middle of every kind of program, then the same command again, and a comparison, bit for
    bit, with a run left alone; fuzz: damaged and made-up files for every reader; soak: memory, file handles and
    threads over many runs in one process."""
    trials: int | None = None
    """kills: of all programs together; 56 by default."""
    minutes: float | None = None
    """fuzz, soak: how long; 1 by default."""
    seed: int = 0
    """Of the moments, and of the files."""
    out: Path | None = None
    """Write the table and all records to this folder."""


READS = {"kills": "trials", "fuzz": "minutes", "soak": "minutes"}


def check(config: ReliabilityConfig) -> None:
    """Raise UserError for an option out of range, or one that this trial does not read."""
    for name in ("trials", "minutes"):
        value = getattr(config, name)
        if value is not None and READS[config.what] != name:
            raise UserError(f"`{name}` {value} is of no use to {config.what}; leave it out")
        if value is not None and not value > 0:
            raise UserError(f"`{name}` {value} must be above 0")
