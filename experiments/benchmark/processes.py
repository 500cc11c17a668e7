"""Contestants of lif and step, each in a process of its own (experiments.benchmark.contestants), in turns."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

import torch
from tqdm import tqdm

from experiments.benchmark.options import BenchmarkConfig
from iemf.errors import UserError
from iemf_snn import kernels


def contestants(config: BenchmarkConfig) -> list[str]:
    """Names for experiments.benchmark.contestants; the first is what others are measured against."""
    fused = "cupy" if config.device == "cuda" else "numba"
    old = ["spikingjelly old"] if config.old_spikingjelly else []
    compiled = ["spikingjelly compiled", "plain compiled"] if config.compiled else []
    if config.what == "step":
        half = ["ann bf16", f"{fused} bf16"] if config.bf16 else []
        return ["spikingjelly", *old, *compiled, "torch", fused, "ann", *half]
    others = [name for name in ("snntorch", "norse") if importlib.util.find_spec(name)]
    backend = kernels.BACKENDS[fused]
    ours = [] if backend.unavailable(torch.device(config.device), getattr(torch, config.dtype)) else [fused]
    return ["spikingjelly", *old, *others, *compiled, "torch", *ours, "copy"]


class Contestant:
    """A process of experiments.benchmark.contestants, which runs a repetition when told to."""

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
        command = [sys.executable, "-m", "experiments.benchmark.contestants", json.dumps(job)]
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
