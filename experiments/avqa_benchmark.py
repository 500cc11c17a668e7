"""Is an epoch of question answering bound by the model, or by reading? Questions a second on av-digits-qa.

The same training steps over the same number of batches: once on a batch that lies on the device already, once on
batches read while the last is worked on, as the programs do. In turns, in one process.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import torch
from tqdm import tqdm

from experiments import avqa_data
from experiments.avqa import build_network, trainer_of
from experiments.avqa_options import AVQARun, resolve
from experiments.report import table_lines
from iemf.avqa.data import AVQAData
from iemf.avqa.trainer import batches
from iemf.training import RunFolder

MODELS = {"baseline": "baseline", "st-avqa": "ST-AVQA"}
STEPS = 20  # of a turn


def stepper(run: AVQARun, data: AVQAData, device: torch.device) -> Callable[[Iterable], None]:
    """Trains on batches, IEMF included; ST-AVQA without a stage 1 before, which changes nothing in time."""
    network = build_network(run, data, taught=False).to(device)
    trainer = trainer_of(run, data, RunFolder(run.out), network)
    stage, optimizer = trainer.stage, trainer.optimizer
    network.train()
    generator = torch.Generator().manual_seed(0)

    def train(work: Iterable) -> None:
        for batch in work:
            stage.loss(batch, generator).backward()
            stage.on_gradients()
            optimizer.step()
            optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return train


def measure(repeats: int, device: str, cache: Path = AVQARun.cache, steps: int = STEPS) -> dict:
    """{model: {"without", "reading", "alone": questions a second of every turn}}.

    Args:
        repeats: turns, in which all follow each other.
        device: of the step.
        cache: of av-digits-qa, made if it is missing.
        steps: of a turn.
    """
    avqa_data.make_if_missing(cache)
    where = torch.device(device)
    run = resolve(AVQARun(variant="iemf", cache=cache))
    data = avqa_data.load("av-digits-qa", None, cache)
    rows = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[
        : steps * run.batch_size
    ].tolist()
    questions = len(rows)
    steps = -(-questions // run.batch_size)

    def read() -> Iterator:
        return batches(data.train, rows, run.batch_size, where)

    held = next(read())
    trained = {name: stepper(replace(run, model=name), data, where) for name in MODELS}
    rates: dict[str, dict[str, list[float]]] = {name: {"without": [], "reading": [], "alone": []} for name in MODELS}
    for train in trained.values():
        train([held])
    for _ in tqdm(range(repeats), "turns", disable=None):
        for name, train in trained.items():
            works = {
                "without": lambda train=train: train(repeat(held, steps)),
                "reading": lambda train=train: train(read()),
                "alone": lambda: list(read()),
            }
            for what, work in works.items():
                began = time.perf_counter()
                work()
                count = questions if what != "without" else steps * len(held.answer)
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
