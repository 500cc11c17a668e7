"""Weights of a finished run that a network of one modality begins with."""

import hashlib
from pathlib import Path
from typing import Any

from experiments.sweep.options import plain
from iemf.errors import UserError
from iemf.training import RunFolder

# Other weights would not fit, or clips that one has trained on would be the other's test.
ALIKE = ("network", "dataset", "data_digest", "split_seed", "recipe", "width", "stem", "time_steps", "neuron",
         "norm_gain")  # fmt: skip


def digest_of(folder: Path) -> str:
    """SHA-256 of the best weights of a finished run, its first 16 digits.

    Raises:
        UserError: it is none.
    """
    run = RunFolder(folder)
    if not run.config_file.is_file() or run.results() is None or not run.best_checkpoint.is_file():
        raise UserError(f"`start` {folder} is no finished run with its {run.best_checkpoint.name}; name the folder of "
                        f"one")  # fmt: skip
    return hashlib.sha256(run.best_checkpoint.read_bytes()).hexdigest()[:16]


def refuse_unlike(run: Any) -> None:
    """Raise UserError where a resolved run and the one that it begins with are not alike."""
    stored = RunFolder(run.start).read_config()
    for name in ALIKE:
        own, other = plain(getattr(run, name)), stored.get(name)
        if own != other:
            raise UserError(f"`start` {run.start} has {name}={other!r}, this run {own!r}; train with the same")
    if stored.get("modality") not in (None, run.modality):
        raise UserError(f"`start` {run.start} is of `modality` {stored['modality']}, this run of {run.modality}; name "
                        f"a run of that, or of both")  # fmt: skip


def refuse_changed(run: Any) -> None:
    """Raise UserError if the weights that a run begins with are no longer those of when it began."""
    if run.start_digest != (now := digest_of(run.start)):
        raise UserError(f"`start` {run.start} has changed since the run began ({run.start_digest} then, {now} now); "
                        f"train again into another `out`")  # fmt: skip
