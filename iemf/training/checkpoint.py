"""Checkpoints: one file, written whole or not at all, read back without unpickling code."""

from pathlib import Path

import torch

from iemf.errors import UserError
from iemf.files import whole_file


def save(path: Path, content: dict) -> None:
    """Write tensors, numbers, strings, and lists, tuples and dicts of them, atomically."""
    with whole_file(path, "wb") as file:
        torch.save(content, file)


def load(path: Path) -> dict:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: the file is missing or damaged; the message names it.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; train the run again or go on with `resume`") from None
    except Exception as error:  # damaged bytes make the reader fail in any way whatever
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is not a readable checkpoint ({reason}); remove the run's folder") from None


def check(path: Path, content: dict, run: str, processes: int) -> None:
    """Raise UserError unless a run can go on from this checkpoint.

    Args:
        path: of the file, for the message.
        content: of it.
        run: see :attr:`iemf.training.record.RunFolder.identity`.
        processes: of the run that is to go on.
    """
    if "stage_name" not in content:
        raise UserError(f"{path} was written by another version of this program; train the run anew in another `out`")
    if content["run"] != run:
        raise UserError(f"{path} is of a run with other options or data; put the run's own checkpoint back, or name a "
                        f"new `out`")  # fmt: skip
    if content["processes"] != processes:
        raise UserError(f"{path} is of a run with {content['processes']} process(es), this one has {processes}; resume "
                        f"with as many")  # fmt: skip
