"""What to time, and which timing reads which option."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from experiments.benchmark import compiled
from experiments.sweep.options import shown
from iemf.errors import UserError

IN_PROCESSES = ("lif", "step")  # contestants of these have a process each


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to time."""

    what: Annotated[Literal["lif", "step", "methods", "loader", "features", "avqa"], tyro.conf.Positional]
    """lif: forward and backward of the neuron; step: a training step of the audio-visual ResNet-18; methods: one of
    each balancing method; loader: reading clips, raw and prepared; features, avqa: reading those of class-incremental
    learning and of question answering beside their steps. The last four take --repeats and --out alone, and --device,
    but for loader."""
    repeats: int = 15
    """Turns of each contestant; of the neuron, a turn is five repetitions after one that is not timed."""
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    threads: int | None = None
    """cpu: as many as torch takes by default."""
    allocator: Literal["keep", "default"] = "keep"
    """cpu: keep freed memory, as the training programs do, or leave the C library as it is."""
    old_spikingjelly: Path | None = None
    """A folder with another SpikingJelly: pip install --no-deps --target DIR spikingjelly==0.0.0.0.14"""
    compiled: bool = compiled.available()
    """lif, step: also what torch.compile makes of SpikingJelly's neuron and of a plain PyTorch one; by default where
    there is a C++ compiler."""
    shape: tuple[int, int, int, int, int] = (4, 32, 64, 28, 28)
    """lif: [T, B, C, H, W]."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """lif: of the input; a fused backend that does not know it is left out."""
    width: int = 64
    """step: channels of the first stage."""
    batch_size: int = 8
    """step."""
    image_size: int = 128
    """step: side of the spectrogram and of the image in pixels."""
    time_steps: int = 4
    """step: T."""
    bf16: bool = False
    """step: also with bfloat16 autocast; on a CPU without instructions for it that takes long."""
    out: Path | None = None
    """Write the table and all timings to this folder."""


READ_BY_ALL = ("what", "repeats", "out")
READ_BY = {"features": ("device",), "avqa": ("device",), "methods": ("device",), "loader": ()}


def check(config: BenchmarkConfig) -> None:
    """Raise UserError for an option out of range, or one that this timing does not read."""
    if config.repeats < 1:
        raise UserError(f"`repeats` {config.repeats} must be 1 or more")
    if config.old_spikingjelly is not None and not (config.old_spikingjelly / "spikingjelly").is_dir():
        raise UserError(f"`old_spikingjelly` {config.old_spikingjelly} holds no folder spikingjelly")
    if config.what in IN_PROCESSES:
        return
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in (*READ_BY_ALL, *READ_BY[config.what]) and value != field.default:
            raise UserError(f"`{field.name}` {shown(value)} is of no use to the benchmark {config.what}; leave it out")
