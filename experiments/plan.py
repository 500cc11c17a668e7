"""What a grid would train, and how long that would take on this machine: training steps are timed on random input."""

import statistics
import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from accelerate.utils import set_seed
from torch import Tensor

from experiments import build, published
from experiments.options import RunConfig, resolve
from experiments.report import table_lines
from iemf.analysis.plots import METHOD_LABELS
from iemf.data.audio import HOP, N_FFT, SAMPLE_RATE
from iemf.data.preparation import manifest
from iemf.data.sets import av_digits, crema_d, kinetics_sounds, prepared, urbansound8k_av
from iemf.errors import UserError
from iemf.training import RunFolder

CLASSES = {"av-digits": 10, "crema-d": len(crema_d.CLASSES), "kinetics-sounds": kinetics_sounds.LABELS,
           "urbansound8k-av": len(urbansound8k_av.CLASSES)}  # fmt: skip
URBAN_TEST = round(urbansound8k_av.TEST_SHARE * urbansound8k_av.PUBLISHED["total"])
PUBLISHED = {
    "crema-d": crema_d.PUBLISHED,
    "kinetics-sounds": kinetics_sounds.PUBLISHED,
    "urbansound8k-av": {"train": urbansound8k_av.PUBLISHED["total"] - URBAN_TEST, "test": URBAN_TEST},
}
CPU_BATCH = 4  # enough to time a step on: there, time grows with the batch
FORWARD = 1 / 3  # of a training step: what a sample costs that is only evaluated


def describe(configs: Sequence[RunConfig]) -> str:
    """The plan as a table, a row a network, method and variant.

    Raises:
        UserError: a config is not valid, or its data set's size cannot be known.
    """
    configs = [resolve(config) for config in configs]
    speeds: dict[str, float] = {}
    rows, total, finished = [], 0.0, 0
    cells: dict[tuple[str, str, str], list[RunConfig]] = {}
    for config in configs:
        cells.setdefault((config.network, config.method, config.variant), []).append(config)
    for cell, runs in cells.items():
        example = runs[0]
        if example.network not in speeds:
            speeds[example.network] = samples_a_second(example)
        hours = samples(example) / speeds[example.network] / 3600
        left = [run for run in runs if RunFolder(run.out).results() is None]
        finished += len(runs) - len(left)
        total += hours * len(left)
        paper = published.accuracies(example.dataset).get(cell)
        seeds = " ".join(str(run.seed) for run in runs)
        rows.append([METHOD_LABELS[cell[1]], cell[0].upper(), cell[2], "–" if paper is None else f"{paper:.2f}", seeds,
                     str(example.epochs), duration(hours)])  # fmt: skip
    header = ["method", "network", "variant", "paper: top-1 %", "seeds", "epochs", "time a run"]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    rates = ", ".join(f"{network.upper()} {speed:.3g}" for network, speed in speeds.items())
    note = f"{configs[0].dataset}: {len(configs)} runs, {finished} of them finished; about {duration(total)} for the "
    note += f"others, one after another. Training samples a second, timed on {device}: {rates}."
    return "\n".join([table_lines(header, rows), "", note])


def samples(config: RunConfig) -> float:
    """Training samples of a run, those that are only evaluated counted by what they cost."""
    sizes = split_sizes(config)
    return config.epochs * (sizes["train"] + FORWARD * sizes["val"]) + FORWARD * sizes["test"]


def split_sizes(config: RunConfig) -> dict[str, float]:
    """Clips of each split: of the prepared folder if it is there, as published otherwise.

    Raises:
        UserError: a folder of one's own that is not prepared.
    """
    if config.dataset == "av-digits":
        return {split: 10 * count for split, count in av_digits.SPLIT_PER_DIGIT.items()}
    if prepared.is_prepared(config.data_root):
        content = manifest.read(config.data_root, config.dataset)
        sizes = {split: about["total"] for split, about in content["clips"].items()}
    elif config.dataset in PUBLISHED:
        sizes = dict(PUBLISHED[config.dataset])
    else:
        raise UserError(f"--dry-run counts clips in prepared folders only; prepare {config.data_root} first")
    return sizes if "val" in sizes else sizes | {"train": 0.9 * sizes["train"], "val": 0.1 * sizes["train"]}


def samples_a_second(config: RunConfig) -> float:
    """Training samples a second: forward, backward and optimiser step on random input of the run's shapes."""
    accelerator = build.build_accelerator(config)
    device = accelerator.device
    set_seed(0)
    batch = config.batch_size if device.type == "cuda" else min(config.batch_size, CPU_BATCH)
    audio, visual = random_input(config, batch, device)
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    channels, classes = (audio.shape[1], visual.shape[-3]), CLASSES.get(config.dataset, 10)
    network = build.network_of(config, *channels, classes).to(device)
    optimizer = build.build_optimizer(config, network)
    prepared_network = accelerator.prepare(network)

    def step() -> float:
        began = time.perf_counter()
        logits = prepared_network(audio, visual).logits
        accelerator.backward(sum(F.cross_entropy(each, labels) for each in logits))
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    for _ in range(5 if device.type == "cuda" else 1):
        step()
    return batch / statistics.median(step() for _ in range(10 if device.type == "cuda" else 2))


def random_input(config: RunConfig, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(spectrograms, images) as the front end hands them to the network."""
    if config.dataset == "av-digits":
        return tuple(torch.randn(batch, 1, av_digits.SIZE, av_digits.SIZE, device=device) for _ in range(2))
    size = config.spectrogram_size
    shape = (size, size) if size else (N_FFT // 2 + 1, round(config.seconds * SAMPLE_RATE) // HOP + 1)
    frames = (config.frames,) if config.frames > 1 else ()
    side = config.image_size
    return torch.randn(batch, 1, *shape, device=device), torch.randn(batch, *frames, 3, side, side, device=device)


def duration(hours: float) -> str:
    """In the unit that reads best."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
