"""Does reading features keep up with a training step of class-incremental learning, and what memory does it take?

A file of VideoMAE's size a clip, [8, 196, 768] in float16, 2.4 MB; its rows are random numbers written once for the
rate (a file that was just written lies in the system's memory: a disk adds its own limit, stated as bytes a second),
and holes for the memory, which is that of a whole run on 200 and on 2,000 clips, each in a process of its own.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import BatchSampler
from tqdm import tqdm

from experiments.sweep.accelerator import accelerated
from experiments.sweep.table import table_lines
from iemf.continual.data import ContinualData, FeatureBatch, FeatureSplit, equal_tasks
from iemf.continual.learner import ContinualLearner, ContinualOptions
from iemf.continual.methods import AVCIL
from iemf.continual.model import ContinualNetwork
from iemf.continual.rows import npy_rows
from iemf.continual.stage import Portion, TaskStage
from iemf.training import RunFolder, Step
from iemf.training.batches import read_batches

GRID = (8, 196, 768)
CLASSES = 4
CLIPS = (200, 2000)
MIB = 2**20


def holes(path: Path, clips: int, grid: tuple[int, int, int] = GRID) -> None:
    """A .npy file [clips, *grid] of float16 zeros that takes no space on disk."""
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (clips, *grid)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2 * clips * int(np.prod(grid)))


def data_of(folder: Path, clips: int, grid: tuple[int, int, int]) -> ContinualData:
    """Two tasks of two classes; all but 16 clips are for training."""
    holes(folder / "visual.npy", clips, grid)
    rng = np.random.default_rng(0)
    ends = {"train": clips - 16, "val": clips - 8, "test": clips}
    splits, start = {}, 0
    for split, end in ends.items():
        count = end - start
        audio = rng.normal(size=(count, 768)).astype(np.float16)
        labels = np.arange(count) % CLASSES
        splits[split] = FeatureSplit(audio, npy_rows(folder / "visual.npy", range(start, end)), labels)
        start = end
    return ContinualData("holes", tuple("abcd"), equal_tasks(CLASSES, 2), **splits)


def train_and_weigh(clips: int, grid: tuple[int, int, int]) -> float:
    """MiB that the process held at most in an epoch a task of AV-CIL over ``clips`` clips."""
    with tempfile.TemporaryDirectory() as folder:
        data = data_of(Path(folder), clips, grid)
        run = RunFolder(Path(folder) / "run")
        run.start({})
        options = ContinualOptions(1, 8, 8, 8, 0, progress=False)
        network = ContinualNetwork(768, grid[2], 2, features=64)
        with accelerated(cpu=True) as accelerator:
            ContinualLearner(network, AVCIL(), data, options, run, accelerator,
                             lambda n: torch.optim.SGD(n.parameters(), lr=1e-3)).fit()  # fmt: skip
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak(clips: int, grid: tuple[int, int, int] = GRID) -> float:
    """:func:`train_and_weigh` in a fresh process."""
    code = f"from experiments.benchmark.features import train_and_weigh; print(train_and_weigh({clips}, {grid}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure(repeats: int, device: str, batch: int = 8, clips: int = 64) -> dict:
    """Clips a second: read from the file, trained on from memory, and trained on while the next batch is read.

    Args:
        repeats: turns, in which the three follow each other.
        device: of the step.
        batch: clips in a step.
        clips: in the file, all different.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, accelerated(cpu=device == "cpu") as accelerator:
        path = Path(folder) / "visual.npy"
        with path.open("wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (clips, *GRID)}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(clips):
                file.write(rng.normal(size=GRID).astype(np.float16).tobytes())
        audio = rng.normal(size=(clips, 768)).astype(np.float16)
        split = FeatureSplit(audio, npy_rows(path, range(clips)), np.arange(clips) % CLASSES)
        parts = [list(part) for part in BatchSampler(rng.permutation(clips).tolist(), batch, drop_last=True)]

        def read() -> Iterator[FeatureBatch]:
            return read_batches(split.__getitems__, parts, accelerator.device)

        data = ContinualData("random", tuple("abcd"), equal_tasks(CLASSES, 1), split, split, split)
        network = ContinualNetwork(768, GRID[2], CLASSES).to(accelerator.device)
        prepared, optimizer = accelerator.prepare(network, torch.optim.SGD(network.parameters(), lr=1e-3))
        stage = TaskStage(network, None, AVCIL(), data, 0, [], Portion(batch, 0, 0), accelerator)
        step = Step(stage, prepared, optimizer, accelerator)
        held = next(read())

        def seconds(work: Iterable[FeatureBatch]) -> float:
            began = time.perf_counter()
            for features in work:
                step((batch, features), 0)
            if device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - began

        seconds([held])
        rates: dict[str, list[float]] = {"reading": [], "step": [], "both": []}
        for _ in tqdm(range(repeats), "turns", disable=None):
            began = time.perf_counter()
            for part in parts:
                split.__getitems__(part)
            rates["reading"].append(batch * len(parts) / (time.perf_counter() - began))
            rates["step"].append(batch * len(parts) / seconds([held] * len(parts)))
            rates["both"].append(batch * len(parts) / seconds(read()))
    memory = {clips: peak(clips) for clips in tqdm(CLIPS, "memory", disable=None)}
    threads = torch.get_num_threads()
    return {"rates": rates, "memory": memory, "device": device, "batch": batch, "threads": threads}


def markdown(results: dict) -> str:
    """The table, and a line on how it came about."""
    rates = {name: statistics.median(values) for name, values in results["rates"].items()}
    size = 2 * np.prod(GRID) / 1e6
    header = ["", "clips/s", "min – max", "MB/s"]
    names = {"reading": "reading alone", "step": "step alone, features in memory", "both": "step with reading ahead"}
    rows = [
        [names[name], f"{rates[name]:.1f}", f"{min(values):.1f} – {max(values):.1f}", f"{rates[name] * size:.0f}"]
        for name, values in results["rates"].items()
    ]
    small, large = (results["memory"][clips] for clips in CLIPS)
    where = f"{results['threads']} thread(s)" if results["device"] == "cpu" else torch.cuda.get_device_name()
    note = f"Clips of {list(GRID)} float16, {size:.1f} MB; batches of {results['batch']}; {where}, torch "
    note += f"{torch.__version__}, medians of {len(results['rates']['step'])} turns; the file lies in the system's "
    change = 100 * (rates["both"] / rates["step"] - 1)
    note += f"memory. Reading ahead changes the step's rate by {change:+.1f} %. A run of "
    note += (
        f"AV-CIL on {CLIPS[0]} clips ({CLIPS[0] * size / 1000:.1f} GB) holds {small:.0f} MiB at most, on {CLIPS[1]} "
    )
    note += f"({CLIPS[1] * size / 1000:.1f} GB) {large:.0f} MiB."
    return f"{table_lines(header, rows)}\n\n{note}\n"
