"""Class-incremental learning: fine-tuning, LwF, SSIL and AV-CIL, vanilla, with joint learning and with IEMF.

    python -m experiments.continual --out runs/continual
    python -m experiments.continual --methods av-cil --networks ann snn --seeds 0 1 --out runs/small

Runs what is missing under OUT/runs, task by task, and writes table.md, results.json and two PNGs into OUT. Run again,
it goes on after the last task that was finished.
"""

import functools
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from experiments import cli, continual_report
from experiments.continual_options import (
    ContinualMethod,
    ContinualRun,
    ContinualShared,
    resolve,
    shared_options,
)
from experiments.options import Network, Variant
from iemf.balance import InverseEffectiveness
from iemf.continual import av_digits_ci, metrics
from iemf.continual.data import ContinualData, check_classes
from iemf.continual.methods import AVCIL, METHODS, Method
from iemf.continual.model import ContinualNetwork
from iemf.continual.trainer import ContinualOptions, ContinualTrainer
from iemf.errors import UserError
from iemf.files import write_json
from iemf.seeds import Stream, mix_seed
from iemf.training import RunFolder
from iemf_snn.rate import RateCoded


@dataclass(frozen=True)
class ContinualConfig(ContinualShared):
    """Run or collect a grid of methods x variants x networks x seeds, and tabulate it."""

    networks: tuple[Network, ...] = ("ann",)
    methods: tuple[ContinualMethod, ...] = ("fine-tuning", "lwf", "ssil", "av-cil")
    variants: tuple[Variant, ...] = ("vanilla", "joint", "iemf")
    seeds: tuple[int, ...] = (0, 2025, 3917)
    out: Path = Path("runs/continual")
    """Folder of the table; the runs go into OUT/runs."""
    progress: bool = True


def grid(config: ContinualConfig) -> list[ContinualRun]:
    """One resolved run a cell and seed."""
    for name in ("networks", "methods", "variants", "seeds"):
        chosen = getattr(config, name)
        if not chosen or len(set(chosen)) < len(chosen):
            raise UserError(f"--{name} {' '.join(map(str, chosen))}: name at least one, each once")
    shared, runs = shared_options(config), config.out.expanduser() / "runs"
    return [
        resolve(ContinualRun(**shared, network=n, method=m, variant=v, seed=s, out=runs / f"{n}-{m}-{v}-seed{s}",
                             progress=config.progress))
        for n in config.networks for m in config.methods for v in config.variants for s in config.seeds
    ]  # fmt: skip


@functools.cache
def load_data(dataset: str) -> ContinualData:
    """The benchmark; made once for all runs of a process."""
    data = {"av-digits-ci": av_digits_ci.load}[dataset]()
    check_classes(data)
    return data


def build_method(run: ContinualRun) -> Method:
    """With the benchmark's weights, for AV-CIL."""
    if run.method == "av-cil":
        return AVCIL(run.instance, run.category)
    return METHODS[run.method]()


def activation(run: ContinualRun) -> nn.Module:
    """Behind each projection: LIF neurons or ReLU."""
    return RateCoded(run.time_steps) if run.network == "snn" else nn.ReLU()


def build_optimizer(run: ContinualRun, network: nn.Module) -> torch.optim.Optimizer:
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[run.optimizer]
    return kind(network.parameters(), lr=run.lr, weight_decay=run.weight_decay)


def train(run: ContinualRun) -> dict:
    """Run to the end and return the results; those of a run that had finished are read, not made again."""
    folder = RunFolder(run.out)
    folder.check(run.stored(), resume=True)
    if (results := folder.results()) is not None:
        return results
    data = load_data(run.dataset)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(mix_seed(Stream.TASK, run.seed))
    make_activation = functools.partial(activation, run)
    first = data.tasks[0].stop
    network = ContinualNetwork(data.audio_size, data.visual_size, first, run.features, make_activation).to(device)
    options = ContinualOptions(
        run.epochs, run.batch_size, run.memory, run.seed, joint=run.variant != "vanilla", progress=run.progress,
    )  # fmt: skip

    def modulation(network: ContinualNetwork, optimizer: torch.optim.Optimizer) -> InverseEffectiveness:
        scale = "step" if run.optimizer == "adam" else "gradient"
        return InverseEffectiveness(network.classifier.parameters(), run.gamma, scale=scale, optimizer=optimizer)

    trainer = ContinualTrainer(
        network, build_method(run), data, options, folder, functools.partial(build_optimizer, run),
        modulation if run.variant == "iemf" else None,
    )  # fmt: skip
    folder.start(run.stored())
    accuracies = trainer.fit(resume=True)
    results = {
        "accuracies": accuracies,
        "average_accuracies": metrics.average_accuracies(accuracies),
        "mean_accuracy": metrics.average_incremental_accuracy(accuracies),
        "average_forgetting": metrics.average_forgetting_rate(accuracies),
        "xi": statistics.fmean(xis) if (xis := [e["xi"] for e in trainer.history if e["xi"] is not None]) else None,
        "seed": run.seed,
    }
    write_json(folder.results_file, results)
    return results


def main(config: ContinualConfig) -> None:
    """Train what is missing, write, and print the table."""
    runs = grid(config)
    for run in runs:
        RunFolder(run.out).check(run.stored(), resume=True)
    done = [(run, train(run)) for run in runs]
    print(continual_report.write(done, config.out.expanduser()))
    print(f"\nWritten to {config.out}: table.md, results.json, average_accuracy.png, accuracy_and_forgetting.png")


if __name__ == "__main__":
    cli.run(ContinualConfig, main, "continual")
