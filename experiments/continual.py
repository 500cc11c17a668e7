"""Class-incremental learning: fine-tuning, LwF, SSIL and AV-CIL, vanilla, with joint learning and with IEMF.

    python -m experiments.continual --out runs/continual
    python -m experiments.continual --method av-cil --network snn --no-joint --seeds 0 --out runs/small
    python -m experiments.continual --dataset ave-ci --data-root features/ave-ci --recipe original --out runs/ave

Runs what is missing under OUT/runs, task by task, and writes table.md, results.json and two PNGs into OUT. Run again,
it goes on after the last task that was finished.
"""

import functools
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import nn
from tqdm import tqdm

from experiments import cli, continual_report
from experiments.continual_options import (
    ContinualMethod,
    ContinualRun,
    ContinualShared,
    resolve,
    shared_options,
)
from experiments.options import Network, Variant
from iemf.balance import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.continual import av_digits_ci, benchmarks, metrics
from iemf.continual.data import ContinualData, check_classes
from iemf.continual.methods import AVCIL, METHODS, Method
from iemf.continual.model import ContinualNetwork
from iemf.continual.trainer import ContinualOptions, ContinualTrainer, MakeModulation, check_memory
from iemf.errors import UserError
from iemf.files import write_json
from iemf.seeds import Stream, mix_seed
from iemf.training import RunFolder
from iemf_snn.rate import RateCoded

VARIANTS: tuple[Variant, ...] = ("vanilla", "joint", "iemf")


@dataclass(frozen=True)
class ContinualConfig(ContinualShared):
    """Run or collect a grid of methods x variants x networks x seeds, and tabulate it."""

    networks: Annotated[tuple[Network, ...], tyro.conf.arg(aliases=["--network"])] = ("ann",)
    """snn puts LIF neurons in place of the ReLUs."""
    methods: Annotated[tuple[ContinualMethod, ...], tyro.conf.arg(aliases=["--method"])] = (
        "fine-tuning", "lwf", "ssil", "av-cil",
    )  # fmt: skip
    variants: tuple[Variant, ...] = VARIANTS
    """joint: the losses of both heads too, ξ = 1; iemf: these and ξ on the classifier."""
    iemf: bool = True
    """--no-iemf leaves that variant out."""
    joint: bool = True
    """--no-joint leaves that variant out."""
    seeds: tuple[int, ...] = (0, 2025, 3917)
    out: Path = Path("runs/continual")
    """Folder of the table; the runs go into OUT/runs."""
    progress: bool = True


def grid(config: ContinualConfig) -> list[ContinualRun]:
    """One resolved run a cell and seed."""
    left_out = {name for name, wanted in (("joint", config.joint), ("iemf", config.iemf)) if not wanted}
    config = replace(config, variants=tuple(v for v in config.variants if v not in left_out))
    for name in ("networks", "methods", "variants", "seeds"):
        chosen = getattr(config, name)
        if not chosen or len(set(chosen)) < len(chosen):
            raise UserError(f"--{name} {' '.join(map(str, chosen))}: name at least one, each once")
    refuse_unread(config)
    shared, runs = shared_options(config), config.out.expanduser() / "runs"
    if config.data_root is not None:
        shared["data_root"] = config.data_root.expanduser().absolute()
    return [
        resolve(ContinualRun(**shared, network=n, method=m, variant=v, seed=s, out=runs / f"{n}-{m}-{v}-seed{s}",
                             progress=config.progress))
        for n in config.networks for m in config.methods for v in config.variants for s in config.seeds
    ]  # fmt: skip


def refuse_unread(config: ContinualConfig) -> None:
    """Raise UserError for an option that none of the runs would read."""
    rehearsing = bool({"ssil", "av-cil"} & set(config.methods))
    read = {"gamma": "iemf" in config.variants, "time_steps": "snn" in config.networks, "memory": rehearsing,
            "exemplar_batch_size": rehearsing, "instance": "av-cil" in config.methods,
            "category": "av-cil" in config.methods}  # fmt: skip
    for name, is_read in read.items():
        value = getattr(config, name)
        if not is_read and value != getattr(ContinualShared, name):
            raise UserError(f"--{name.replace('_', '-')} {value} is read by none of the runs; leave it out")


@functools.cache
def load_data(dataset: str, root: Path | None, tasks: int | None) -> ContinualData:
    """The benchmark; made once for all runs of a process."""
    if dataset == "av-digits-ci":
        data = av_digits_ci.load(tasks=tasks or av_digits_ci.TASKS)
    else:
        data = benchmarks.load(dataset, root, tasks)
    check_classes(data)
    return data


def with_digest(runs: list[ContinualRun]) -> list[ContinualRun]:
    """The runs with the mark of their data; finished ones keep theirs, as the data may be gone by now.

    Raises:
        UserError: a folder holds a run of other options or data.
    """
    unfinished = any(RunFolder(run.out).results() is None for run in runs)
    digest = data_of(runs[0]).about.get("digest") if unfinished else None
    marked = []
    for run in runs:
        folder = RunFolder(run.out)
        mark = digest if unfinished else folder.read_config().get("data_digest")
        marked.append(replace(run, data_digest=mark))
        folder.check(marked[-1].stored(), resume=True)
    return marked


def data_of(run: ContinualRun) -> ContinualData:
    """The run's benchmark."""
    return load_data(run.dataset, run.data_root, run.tasks)


def build_method(run: ContinualRun) -> Method:
    """With the benchmark's weights, for AV-CIL; the released one distils no attention."""
    if run.method == "av-cil":
        return AVCIL(run.instance, run.category, attention=run.recipe != "released")
    return METHODS[run.method]()


def activation(run: ContinualRun) -> nn.Module:
    """Behind each projection: LIF neurons, ReLU, or nothing as released."""
    if run.network == "snn":
        return RateCoded(run.time_steps)
    return nn.Identity() if run.recipe == "released" else nn.ReLU()


def build_optimizer(run: ContinualRun, network: nn.Module) -> torch.optim.Optimizer:
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[run.optimizer]
    return kind(network.parameters(), lr=run.lr, weight_decay=run.weight_decay)


def build_modulation(run: ContinualRun) -> MakeModulation | None:
    """ξ on the classifier, of the runs with it. Released: on its step for AV-CIL, else on the gradient, with noise."""

    def make(network: ContinualNetwork, optimizer: torch.optim.Optimizer, seed: int) -> InverseEffectiveness:
        classifier = network.classifier.parameters()
        if run.recipe == "released" and run.method != "av-cil":
            return ReleasedInverseEffectiveness(classifier, seed=seed)
        scale = "step" if run.optimizer == "adam" or run.recipe == "released" else "gradient"
        return InverseEffectiveness(classifier, run.gamma, scale=scale, optimizer=optimizer)

    return make if run.variant == "iemf" else None


def train(run: ContinualRun) -> dict:
    """Run to the end and return the results; those of a run that had finished are read, not made again."""
    folder = RunFolder(run.out)
    folder.check(run.stored(), resume=True)
    if (results := folder.results()) is not None:
        return results
    data = data_of(run)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(mix_seed(Stream.TASK, run.seed))
    make_activation = functools.partial(activation, run)
    first = data.tasks[0].stop
    network = ContinualNetwork(data.audio_size, data.visual_size, first, run.features, make_activation).to(device)
    options = ContinualOptions(
        run.epochs, run.batch_size, run.exemplar_batch_size, run.memory, run.seed, joint=run.variant != "vanilla",
        modulate_epochs=run.window, progress=run.progress,
    )  # fmt: skip
    trainer = ContinualTrainer(
        network, build_method(run), data, options, folder, functools.partial(build_optimizer, run),
        build_modulation(run),
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


def say_sizes(data: ContinualData) -> None:
    """One line on stderr if there are other numbers of samples than were published."""
    published = data.about.get("published", {})
    sizes = {split: len(getattr(data, split)) for split in published}
    if sizes != published:
        found, wanted = ("/".join(map(str, each.values())) for each in (sizes, published))
        print(f"continual: {data.name} has {found} samples (train/val/test), published are {wanted}", file=sys.stderr)


def main(config: ContinualConfig) -> None:
    """Train what is missing, write, and print the table."""
    runs = with_digest(grid(config))
    todo = sum(RunFolder(run.out).results() is None for run in runs)
    print(f"{len(runs)} runs: {len(runs) - todo} finished, {todo} to go", flush=True)
    if todo:
        data = data_of(runs[0])
        say_sizes(data)
        for run in runs:  # before hours of training
            check_memory(build_method(run), run.memory, data)
    bar = tqdm(runs, "runs", disable=not (config.progress and todo), dynamic_ncols=True)
    done = [(run, train(run)) for run in bar]
    print(continual_report.write(done, config.out.expanduser()))
    print(f"\nWritten to {config.out}: table.md, results.json, average_accuracy.png, accuracy_and_forgetting.png")


if __name__ == "__main__":
    cli.run(ContinualConfig, main, "continual")
