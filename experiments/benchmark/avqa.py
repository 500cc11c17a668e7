"""Is an epoch of question answering bound by the model, or by reading? Questions a second on av-digits-qa.

The same training steps over the same number of batches: once on a batch that lies on the device already, once on
batches read while the last is worked on, as the programs do. In turns, in one process.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from itertools import islice, repeat
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from experiments.avqa import build
from experiments.avqa import data as qa_data
from experiments.avqa.options import CACHE, RunConfig, resolve
from experiments.sweep.accelerator import accelerated
from experiments.sweep.table import table_lines
from iemf.avqa.data import AVQABatch
from iemf.training import RunFolder, Trainer

MODELS = {"baseline": "baseline", "st-avqa": "ST-AVQA"}
STEPS = 20  # of a turn


def stepper(trainer: Trainer, accelerator: Accelerator) -> Callable[[Iterable[AVQABatch]], None]:
    """Trains on batches."""
    trainer.network.train()

    def train(work: Iterable[AVQABatch]) -> None:
        for batch in work:
            trainer.step(batch, 0)
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
    rates: dict[str, dict[str, list[float]]] = {name: {"without": [], "reading": [], "alone": []} for name in MODELS}
    with accelerated(cpu=device == "cpu") as accelerator:
        works = {}
        for name in MODELS:
            # IEMF included; ST-AVQA without a stage 1 before, which changes nothing in time.
            model = resolve(RunConfig(model=name, variant="iemf", cache=cache))
            trainer = build.build_trainer(model, data, RunFolder(model.out), accelerator, taught=False)
            train, read = stepper(trainer, accelerator), lambda stage=trainer.stage: islice(stage.batches(0), steps)
            held = next(iter(read()))
            train([held])
            works[name] = {
                "without": lambda train=train, held=held: train(repeat(held, steps)),
                "reading": lambda train=train, read=read: train(read()),
                "alone": lambda read=read: list(read()),
            }
        for _ in tqdm(range(repeats), "turns", disable=None):
            for name, ways in works.items():
                for what, work in ways.items():
                    began = time.perf_counter()
                    work()
                    rates[name][what].append(steps * run.batch_size / (time.perf_counter() - began))
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
