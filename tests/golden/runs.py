"""Eighteen small runs, 3 tasks x ANN/SNN x 3 variants, seed 0, 2 epochs, on the CPU with one thread."""

import contextlib
import hashlib
import io
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch

from experiments.avqa import data as qa_data
from experiments.avqa import encoders
from experiments.avqa import options as avqa_options
from experiments.avqa import run as avqa
from experiments.classification import run as classification
from experiments.classification.options import RunConfig
from experiments.continual import options as continual_options
from experiments.continual import run as continual
from iemf.avqa import av_digits_qa
from iemf.data.sets import av_digits

HASHES = Path(__file__).with_name("hashes.json")
NETWORKS, VARIANTS = ("ann", "snn"), ("vanilla", "joint", "iemf")
SEED, EPOCHS = 0, 2


def machine() -> str:
    """What a hash depends on beside the code."""
    line = "model name"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(each.split(":")[1].strip() for each in lines if each.startswith(line))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def digest(path: Path) -> str:
    """Of a checkpoint's weights, heads aside, whatever they are called and in whatever order they lie."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    weights = content.get("module", content.get("network"))
    parts = sorted(
        hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}".encode() + tensor.numpy().tobytes()).hexdigest()
        for name, tensor in weights.items()
        if "head" not in name
    )
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


@contextlib.contextmanager
def small_data(folder: Path) -> Iterator[None]:
    """One thread, and data sets cut down to what a test has time for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            mock.patch.dict(av_digits.SPLIT_PER_DIGIT, {"train": 24, "val": 8, "test": 8}),
            mock.patch.dict(av_digits_qa.SCENES, {"train": 60, "val": 10, "test": 10}),
            mock.patch.object(encoders, "EPOCHS", 1),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            qa_data.make_if_missing(folder / "av-digits-qa", progress=False)
            yield
    finally:
        torch.set_num_threads(threads)


def train_classification(network: str, variant: str, out: Path) -> str:
    config = RunConfig(network=network, iemf=variant == "iemf", joint=variant == "joint", seed=SEED, epochs=EPOCHS,
                       width=4, stem="7x7-pool", lr=0.02, lr_drop=EPOCHS, warmup=0, out=out,
                       progress=False)  # fmt: skip
    classification.train(config)
    return digest(out / "checkpoints" / "last.pt")


def train_continual(network: str, variant: str, out: Path) -> str:
    run = continual_options.resolve(continual_options.RunConfig(
        network=network, method="av-cil", variant=variant, seed=SEED, epochs=EPOCHS, out=out, progress=False,
    ))  # fmt: skip
    continual.train(run)
    return digest(out / "checkpoints" / "task4.pt")


def train_avqa(network: str, variant: str, out: Path) -> str:
    cache = out.parent.parent / "av-digits-qa"
    run = avqa_options.resolve(avqa_options.RunConfig(
        network=network, model="st-avqa", variant=variant, seed=SEED, epochs=EPOCHS, match_epochs=1, width=16,
        schedule="step", cache=cache, out=out, progress=False,
    ))  # fmt: skip
    avqa.train(run.grounding)
    avqa.train(run)
    return digest(out / "checkpoints" / "last.pt")


TASKS: dict[str, Callable[[str, str, Path], str]] = {
    "classification": train_classification,
    "continual": train_continual,
    "avqa": train_avqa,
}


def hashes(folder: Path) -> dict[str, str]:
    """{run: hash} of all runs; ``folder`` takes their data and checkpoints."""
    with small_data(folder):
        return {
            f"{task} {network} {variant}": train(network, variant, folder / task / f"{network}-{variant}")
            for task, train in TASKS.items()
            for network in NETWORKS
            for variant in VARIANTS
        }


def stored() -> dict[str, dict[str, str]]:
    """{machine: {run: hash}}."""
    return json.loads(HASHES.read_text(encoding="utf-8")) if HASHES.exists() else {}
