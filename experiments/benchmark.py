"""Time the neuron or a training step beside other libraries, or the reading of data: in turns, in one run.

    python -m experiments.benchmark lif
    python -m experiments.benchmark step --out runs/step
    python -m experiments.benchmark loader
    python -m experiments.benchmark features
    python -m experiments.benchmark avqa

Of lif and step, every contestant has a process of its own (experiments.contestants), and they take turns, so that
whatever else the machine does hits all alike. Medians, and ratios of medians; memory is the most that a repetition's
tensors hold.
"""

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from tqdm import tqdm

from experiments import avqa_benchmark, cli, features_benchmark, loader_benchmark
from iemf.errors import UserError
from iemf.files import whole_file, write_json
from iemf_snn import kernels

PASSES = 5 / 2  # copies that the bound is worth: read x, write s; read g, read x, write g_x
MIB = 2**20


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to time."""

    what: Annotated[Literal["lif", "step", "loader", "features", "avqa"], tyro.conf.Positional]
    """lif: forward and backward of the neuron; step: a training step of the audio-visual ResNet-18; loader: reading
    clips, raw and prepared; features, avqa: reading those of class-incremental learning and of question answering
    beside their steps. The last three take --repeats and --out alone, features and avqa --device too."""
    repeats: int = 15
    """Turns of each contestant; of the neuron, a turn is five repetitions after one that is not timed."""
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    threads: int | None = None
    """cpu: as many as torch takes by default."""
    allocator: Literal["keep", "default"] = "keep"
    """cpu: keep freed memory, as the training programs do, or leave the C library as it is."""
    old_spikingjelly: Path | None = None
    """A folder with another SpikingJelly: pip install --no-deps --target DIR spikingjelly==0.0.0.0.14"""
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


def contestants(config: BenchmarkConfig) -> list[str]:
    """Names for experiments.contestants; the first is what others are measured against."""
    fused = "cupy" if config.device == "cuda" else "numba"
    old = ["spikingjelly old"] if config.old_spikingjelly else []
    if config.what == "step":
        half = ["ann bf16", f"{fused} bf16"] if config.bf16 else []
        return ["spikingjelly", *old, "torch", fused, "ann", *half]
    others = [name for name in ("snntorch", "norse") if importlib.util.find_spec(name)]
    backend = kernels.BACKENDS[fused]
    ours = [] if backend.unavailable(torch.device(config.device), getattr(torch, config.dtype)) else [fused]
    return ["spikingjelly", *old, *others, "torch", *ours, "copy"]


class Contestant:
    """A process of experiments.contestants, which runs a repetition when told to."""

    def __init__(self, name: str, config: BenchmarkConfig) -> None:
        self.name = name
        job = {
            "name": name,
            "what": config.what,
            "device": config.device,
            "threads": config.threads,
            "keep_freed_memory": config.allocator == "keep",
            "shape": config.shape,
            "dtype": config.dtype,
            "width": config.width,
            "batch_size": config.batch_size,
            "image_size": config.image_size,
            "time_steps": config.time_steps,
            "warm": 1 if config.what == "lif" else 0,
            "timed": 5 if config.what == "lif" else 1,
        }
        environment = dict(os.environ)
        if name == "spikingjelly old":
            path = [str(config.old_spikingjelly.resolve()), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        command = [sys.executable, "-m", "experiments.contestants", json.dumps(job)]
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in close()
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.complaints}
        self.process = subprocess.Popen(command, **streams, text=True, env=environment)
        self.about = self._answer()

    def turn(self) -> dict[str, list[float]]:
        """One turn: the seconds of each repetition and what the contestant adds."""
        with contextlib.suppress(BrokenPipeError):  # it died; _answer says of what
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.complaints.close()

    def _answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.complaints.seek(0)
        trouble = self.complaints.read().strip().splitlines() or ["it gave no reason"]
        raise UserError(f"contestant {self.name!r} failed: {trouble[-1]}")


def measure(config: BenchmarkConfig) -> dict[str, dict]:
    """{name: version, threads, seconds of every repetition, peak bytes, ...}, contestants in turn."""
    running: list[Contestant] = []
    try:
        for name in tqdm(contestants(config), "starting", disable=None):
            running.append(Contestant(name, config))
        results = {contestant.name: dict(contestant.about) for contestant in running}
        for _ in tqdm(range(config.repeats), "turns", disable=None):
            for contestant in running:
                for key, values in contestant.turn().items():
                    results[contestant.name].setdefault(key, []).extend(values)
    finally:
        for contestant in running:
            contestant.close()
    return results


def median(result: dict) -> float:
    return statistics.median(result["seconds"])


def rows(config: BenchmarkConfig, results: dict[str, dict]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table."""
    against = median(results["spikingjelly"])
    header = ["", "version", "median", "min – max", "times SpikingJelly's speed"]
    header += ["of the bound" if config.what == "lif" else "times the ANN's step", "memory"]
    table = []
    for name, result in results.items():
        seconds, middle = result["seconds"], median(result)
        if config.what == "lif":
            last = f"{100 * PASSES * median(results['copy']) / middle:.0f} %" if name != "copy" else "–"
        else:
            last = f"{middle / median(results['ann']):.2f}"
        spread = f"{1e3 * min(seconds):.1f} – {1e3 * max(seconds):.1f}"
        speed = f"{against / middle:.2f}" if name != "copy" else "–"
        memory = f"{result['peak_bytes'] / MIB:.0f} MiB"
        table.append([name, result["version"], f"{1e3 * middle:.1f} ms", spread, speed, last, memory])
    return header, table


def markdown(config: BenchmarkConfig, results: dict[str, dict]) -> str:
    """The table and a line on how it came about."""
    header, table = rows(config, results)
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *table]]
    about = results["spikingjelly"]
    where = f"{about['threads']} threads" if config.device == "cpu" else torch.cuda.get_device_name()
    what = f"forward + backward, {list(config.shape)} {config.dtype}"
    if config.what == "step":
        what = f"training step, width {config.width}, batch {config.batch_size}, {config.image_size} x "
        what += f"{config.image_size}, T = {config.time_steps}"
    repetitions = f"{len(about['seconds'])} repetitions in {config.repeats} turns"
    lines += ["", f"{what}; {where}, torch {about['torch']}, {repetitions}."]
    if config.what == "lif":
        copy, size = results["copy"], torch.empty(0, dtype=getattr(torch, config.dtype)).element_size()
        moved = 2 * size * torch.Size(config.shape).numel()
        bandwidth = moved / median(copy) / 1e9
        lines[-1] += f" A copy moves {bandwidth:.1f} GB/s; the bound is {PASSES} copies: five passes over the tensor."
    else:
        ours = results["cupy" if config.device == "cuda" else "numba"]
        share = statistics.median(a / b for a, b in zip(ours["iemf_seconds"], ours["seconds"], strict=True))
        lines[-1] += f" Computing and applying ξ is {100 * share:.2f} % of our step."
    return "\n".join(lines) + "\n"


def refuse_unread(config: BenchmarkConfig) -> None:
    """Raise UserError for an option that a benchmark of reading does not read."""
    read = ("what", "repeats", "out", *(["device"] if config.what in ("features", "avqa") else []))
    for field in fields(config):
        if field.name not in read and getattr(config, field.name) != field.default:
            option = f"--{field.name.replace('_', '-')} {getattr(config, field.name)}"
            raise UserError(f"{option} is of no use to the benchmark {config.what}; leave it out")


def main(config: BenchmarkConfig) -> None:
    """Time, print the table, and write it if asked to."""
    if config.repeats < 1:
        raise UserError(f"--repeats must be at least 1, got {config.repeats}")
    if config.old_spikingjelly is not None and not (config.old_spikingjelly / "spikingjelly").is_dir():
        raise UserError(f"--old-spikingjelly {config.old_spikingjelly} holds no folder spikingjelly")
    if config.what == "loader":
        refuse_unread(config)
        results = loader_benchmark.measure(config.repeats)
        table = loader_benchmark.markdown(results)
    elif config.what == "features":
        refuse_unread(config)
        results = features_benchmark.measure(config.repeats, config.device)
        table = features_benchmark.markdown(results)
    elif config.what == "avqa":
        refuse_unread(config)
        results = avqa_benchmark.measure(config.repeats, config.device)
        table = avqa_benchmark.markdown(results)
    else:
        results = measure(config)
        table = markdown(config, results)
    print(table)
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
        write_json(config.out / f"{config.what}.json", results)
        with whole_file(config.out / f"{config.what}.md", "w") as file:
            file.write(table)


if __name__ == "__main__":
    cli.run(BenchmarkConfig, main, "benchmark")
