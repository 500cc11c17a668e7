"""Where a sweep's runs are trained, and with what share of it each."""

import math
from dataclasses import dataclass
from typing import Literal

from iemf.errors import UserError


@dataclass(frozen=True)
class ExecutorOptions:
    """Of every sweep."""

    executor: Literal["local", "ray"] = "local"
    """Where runs are trained: in processes of this machine, or as tasks on a Ray cluster (docs/scaling.md)."""
    cpus: float | None = None
    """ray: CPUs of a run, 1 by default; several runs share one of which each has a fraction."""
    gpus: float | None = None
    """ray: GPUs of a run, likewise; by default 1 where the cluster has any."""


def check_executor(config: ExecutorOptions) -> None:
    """Raise UserError for a share that nothing reads, or that Ray cannot give."""
    for name, least in (("cpus", 1e-4), ("gpus", 0)):
        if (value := getattr(config, name)) is None:
            continue
        if config.executor != "ray":
            raise UserError(f"`{name}` {value:g} is read with `executor` ray only; leave it out")
        if not least <= value < math.inf or (value > 1 and value % 1):
            raise UserError(f"`{name}` {value:g} must be a fraction of 1, or a whole number")
