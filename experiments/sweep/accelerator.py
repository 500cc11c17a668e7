"""The devices of a run, and the precision it computes in."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}  # of x86 and Arm, as Linux names them


@contextmanager
def accelerated(precision: str = "fp32", *, cpu: bool = False) -> Iterator[Accelerator]:
    """CUDA where there is one, the CPU elsewhere; one after another in a process, and each in a precision of its own.

    Args:
        precision: a key of PRECISIONS.
        cpu: in any case.
    """
    if precision == "bf16" and not torch.cuda.is_available() and not has_bf16():
        print("note: this processor has no bfloat16 instructions; --precision fp32 is several times faster on it",
              file=sys.stderr)  # fmt: skip
    accelerator = Accelerator(
        mixed_precision=PRECISIONS[precision],
        cpu=cpu or not torch.cuda.is_available(),
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
    )
    try:
        yield accelerator
    finally:
        if accelerator.num_processes == 1:
            # Accelerate keeps the first precision of a process; it has no public way to let go of it.
            AcceleratorState._reset_state(reset_partial_state=True)


def has_bf16() -> bool:
    """Whether the processor has bfloat16 instructions; True where nothing tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return True
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), None)
    return flags is None or bool(BF16_FLAGS & set(flags.split()))
