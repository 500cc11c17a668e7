"""Memory that is not enough: one line that names the options it hangs on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from experiments.sweep.options import shown
from iemf.errors import UserError

SIZES = ("batch_size", "exemplar_batch_size", "memory", "width", "features", "time_steps", "frames", "image_size",
         "spectrogram_size", "seconds")  # fmt: skip
# What PyTorch says in a plain RuntimeError; a loader's worker passes it on as text.
TOLD = ("can't allocate memory", "not enough memory", "out of memory", "size calculation overflowed",
        "stride calculation overflowed", "multiplication overflow", "alloc_failed", "unable to allocate")  # fmt: skip


@contextmanager
def enough_for(config: object) -> Iterator[None]:
    """Turn an allocation that fails into a UserError that names what of ``config`` sets the sizes."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        asked = re.search(r"tried to allocate ([\d.]+ ?\w+)", str(error), re.IGNORECASE)
        reason = f" for {asked[1]} more" if asked else ""
        sizes = {name: value for name in SIZES if (value := getattr(config, name, None)) is not None}
        named = ", ".join(f"`{name}` {shown(value)}" for name, value in sizes.items()) or "`batch_size`"
        raise UserError(f"not enough memory{reason}; what needs it is set by {named}: lower one of them") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or of a GPU, was refused."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in TOLD)
