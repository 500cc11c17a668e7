"""Checkpoints: one file, written whole or not at all, read back without unpickling code."""

import os
import random
from pathlib import Path

import numpy as np
import torch

from iemf.errors import UserError


def save(path: Path, content: dict) -> None:
    """Write tensors, numbers, strings, and lists, tuples and dicts of them, atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> dict:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: the file is missing or damaged; the message names it.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; train the run again or go on with --resume") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a readable checkpoint ({str(error).splitlines()[0]}); remove it") from None


def random_states() -> dict:
    """The states of Python's, NumPy's and PyTorch's global generators."""
    numpy_state = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict) -> None:
    """Undo everything drawn since :func:`random_states`."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
