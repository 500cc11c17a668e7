"""Checkpoints: one file, written whole or not at all, read back without unpickling code."""

import random
from pathlib import Path

import numpy as np
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
        raise UserError(f"{path} is missing; train the run again or go on with --resume") from None
    except Exception as error:  # damaged bytes make the reader fail in any way whatever
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is not a readable checkpoint ({reason}); remove the run's folder") from None


def random_states() -> dict:
    """The states of Python's, NumPy's and PyTorch's global generators."""
    numpy_state = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,  # of this process's device
    }


def restore_random_states(states: dict) -> None:
    """Undo everything drawn since :func:`random_states`."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
