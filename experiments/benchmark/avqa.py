"""Is an epoch of question answering bound by the model, or by reading? Questions a second on av-digits-qa.

The same training steps over the same number of batches: once on a batch that lies on the device already, once on
batches read while the last is worked on, as the programs do. In turns, in one process.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import BatchSampler
from tqdm import tqdm

from experiments.avqa import build
from experiments.avqa import data as qa_data
from experiments.avqa.options import CACHE, RunConfig, resolve
from experiments.sweep.accelerator import accelerated
from experiments.sweep.table import table_lines
from iemf.avqa.data import AVQABatch, AVQAData
from iemf.avqa.pairs import draw_others
from iemf.avqa.stages import Paired
from iemf.training import RunFolder
from iemf.training.batches import read_batches

MODELS = {"baseline": "baseline", "st-avqa": "ST-AVQA"}
STEPS = 20  # of a turn


def stepper(run: RunConfig, data: AVQAData, accelerator: Accelerator) -> Callable[[Iterable[AVQABatch]], None]:
    """Trains on batches, IEMF included; ST-AVQA without a stage 1 before, which changes nothing in time."""
    trainer = build.build_trainer(run, data, RunFolder(run.out), accelerator, taught=False)
    trainer.network.train()
    generator = torch.Generator().manual_seed(0)
    paired = trainer.stage.paired

    def train(work: Iterable[AVQABatch]) -> None:
        for batch in work:
            others = draw_others(batch.video, batch.audio.shape[1], generator) if paired else None
            trainer.step(Paired(batch, others), 0)
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()

    return train


def measure(repeats: int, device: str, cache: Path = CACHE, steps: int = STEPS) -> dict:
    """{model: {"without", "reading", "alone": questions a second of every turn}}.

    Args:
        repeats: turns, in which all follow each other.
        device: of the step.
        cache: of av-digits-qa, made if it is missing.
        steps: of a turn.
    """
    qa_data.make_if_missing(cache)
    run = resolve(RunConfig(variant="iemf", cache=cache))
    data = qa_data.load("av-digits-qa", None, cache)
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    rows = order[: steps * run.batch_size].tolist()
    parts = list(BatchSampler(rows, run.batch_size, drop_last=False))
    rates: dict[str, dict[str, list[float]]] = {name: {"without": [], "reading": [], "alone": []} for name in MODELS}
    with accelerated(cpu=device == "cpu") as accelerator:

        def read() -> Iterator[AVQABatch]:
            return read_batches(data.train.__getitems__, parts, accelerator.device)

        held = next(read())
        models = {name: resolve(RunConfig(model=name, variant="iemf", cache=cache)) for name in MODELS}
        trained = {name: stepper(model, data, accelerator) for name, model in models.items()}
        for train in trained.values():
            train([held])
        for _ in tqdm(range(repeats), "turns", disable=None):
            for name, train in trained.items():
                works = {
                    "without": lambda train=train: train(repeat(held, len(parts))),
                    "reading": lambda train=train: train(read()),
                    "alone": lambda: list(read()),
                }
                for what, work in works.items():
                    began = time.perf_counter()
                    work()
                    count = len(rows) if what != "without" else len(parts) * len(held.answer)
                    rates[name][what].append(count / (time.perf_counter() - began))
    return {"rates": rates, "device": device, "batch": run.batch_size, "threads": torch.get_num_threads()}


def markdown(results: dict) -> str:
    """The table, and a line on how it came about."""
    header = ["", "step alone, questions/s", "with reading", "change", "reading alone"]
    rows = []
    for name, rates in results["rates"].items():
        middle = {what: statistics.median(values) for what, values in rates.items()}
        spread = {what: f"{middle[what]:.0f} ({min(values):.0f} – {max(values):.0f})" for what, values in rates.items()}
        change = statistics.median(b / a - 1 for a, b in zip(rates["without"], rates["reading"], strict=True))
        rows.append([MODELS[name], spread["without"], spread["reading"], f"{100 * change:+.1f} %", spread["alone"]])
    where = f"{results['threads']} thread(s)" if results["device"] == "cpu" else torch.cuda.get_device_name()
    turns = len(next(iter(results["rates"].values()))["alone"])
    note = f"Training steps of {results['batch']} questions with IEMF; {where}, torch {torch.__version__}, medians of "
    note += f"{turns} turns (minimum – maximum), the change taken turn by turn."
    return f"{table_lines(header, rows)}\n\n{note}\n"
