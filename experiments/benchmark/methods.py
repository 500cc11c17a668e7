"""What a training step of each balancing method costs beside Concat's, as ANN and SNN: time and operations.

Steps on one batch of AV-Digits at its defaults, with joint learning, which all methods have; in turns, in one process.
What a method does between steps is not in them and stands in a column of its own.
"""

import statistics
import time

import torch
from accelerate import Accelerator
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from experiments.classification import build
from experiments.classification.options import RunConfig, resolve
from experiments.classification.trainer import trainer_of
from experiments.sweep.accelerator import accelerated
from experiments.sweep.plan import FORWARD
from experiments.sweep.table import table_lines
from iemf.balance import METHODS
from iemf.balance.pmr import SHARE
from iemf.data.base import AudioVisualData
from iemf.training import RunFolder, Trainer

NAMES = ("concat", "mslr", "ogm-ge", "lfm", "mmpareto", "agm", "pmr", "g-blending")
STEPS = 5  # of a turn
# In training steps an epoch's step: PMR's passes over a share of the set, G-Blending's three copies.
BETWEEN = {"pmr": FORWARD * SHARE, "g-blending": 3.0}


def trained(network: str, method: str, data: AudioVisualData, accelerator: Accelerator) -> Trainer:
    """Ready to step; what comes before an epoch was done."""
    config = resolve(RunConfig(network=network, method=method, joint=True))
    trainer = trainer_of(config, data, RunFolder(config.out), accelerator)
    if method == "pmr":  # without prototypes its loss is the task's
        trainer.stage.begin_epoch(0)
    trainer.network.train()
    return trainer


def measure(repeats: int, device: str, steps: int = STEPS, names: tuple[str, ...] = NAMES) -> dict:
    """{"rates": {"network method": milliseconds a step of every turn}, "operations": {the same: FLOPs a sample}, ...}.

    Args:
        repeats: turns, in which all follow each other.
        device: of the steps.
        steps: of a turn.
        names: of the methods; "concat" is among them.
    """
    data = build.build_data(resolve(RunConfig()))
    times: dict[str, list[float]] = {}
    operations: dict[str, float] = {}
    with accelerated(cpu=device == "cpu") as accelerator:
        trainers = {}
        for network in ("ann", "snn"):
            for name in names:
                trainer = trained(network, name, data, accelerator)
                batch = next(iter(trainer.stage.in_order(0)))
                key = f"{network} {name}"
                trainers[key] = trainer, batch
                with FlopCounterMode(display=False) as counter:
                    trainer.step(batch, 0)
                operations[key], times[key] = counter.get_total_flops() / len(batch.label), []
        for _ in tqdm(range(repeats), "turns", disable=None):
            for key, (trainer, batch) in trainers.items():
                began = time.perf_counter()
                for _ in range(steps):
                    trainer.step(batch, 0)
                if accelerator.device.type == "cuda":
                    torch.cuda.synchronize()
                times[key].append(1000 * (time.perf_counter() - began) / steps)
    return {"milliseconds": times, "operations": operations, "device": device, "threads": torch.get_num_threads(),
            "batch": len(batch.label)}  # fmt: skip


def markdown(results: dict) -> str:
    """The table, and a line on how it came about."""
    header = ["method"]
    for network in ("ANN", "SNN"):
        header += [f"{network}: ms a step", "of Concat's", "MFLOPs a sample", "of Concat's"]
    header.append("between steps")
    times, operations, rows = results["milliseconds"], results["operations"], []
    for name in dict.fromkeys(key.split()[1] for key in times):
        row = [METHODS[name].label]
        for network in ("ann", "snn"):
            own, plain = times[f"{network} {name}"], times[f"{network} concat"]
            ratio = statistics.median(a / b for a, b in zip(own, plain, strict=True))
            count, base = operations[f"{network} {name}"], operations[f"{network} concat"]
            row += [f"{statistics.median(own):.1f}", f"{ratio:.2f}", f"{count / 1e6:.1f}", f"{count / base:.2f}"]
        rows.append([*row, f"+{BETWEEN[name]:.2g}" if name in BETWEEN else "–"])
    turns = len(next(iter(times.values())))
    where = f"{results['threads']} thread(s)" if results["device"] == "cpu" else torch.cuda.get_device_name()
    note = f"A step of {results['batch']} samples of AV-Digits with joint learning; {where}, torch {torch.__version__}"
    note += f", medians of {turns} turns, ratios taken turn by turn. Operations are those that PyTorch counts, forward "
    note += "and backward: convolutions and matrix products, of a spiking network every time step as a dense one. "
    note += "Between steps: in steps, for each step of an epoch (PMR's prototypes, G-Blending's copies)."
    return f"{table_lines(header, rows)}\n\n{note}\n"
