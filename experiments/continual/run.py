"""A class-incremental run, from its config to its results, and the sweep over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from accelerate import Accelerator

from experiments.continual import build, report
from experiments.continual.options import RULES, MethodName, RunConfig, TrainingConfig, defaults_of, resolve
from experiments.sweep import published
from experiments.sweep.balance import BalancedSweep, stored_names, that_differ
from experiments.sweep.execution import sweep
from experiments.sweep.options import Network, cells_of_sweep, checked, fields_of, placed
from experiments.sweep.plan import FORWARD
from experiments.sweep.runs import carry_out, coefficients, rates_of, say, shared_digest
from experiments.sweep.task import Size, SweepTask, Trial
from iemf.continual import metrics
from iemf.continual.data import ContinualData
from iemf.continual.learner import ContinualLearner, check_memory
from iemf.continual.methods import METHODS
from iemf.training import RunFolder
from iemf.training.effects import Effects
from iemf_snn.firing_rate import FiringRates


@dataclass(frozen=True)
class ContinualConfig(BalancedSweep, TrainingConfig):
    """Run or collect a grid of methods x variants x networks x seeds, and tabulate it."""

    networks: Annotated[tuple[Network, ...], tyro.conf.arg(aliases=["--network"])] = ("ann",)
    """snn puts LIF neurons in place of the ReLUs."""
    methods: Annotated[tuple[MethodName, ...], tyro.conf.arg(aliases=["--method"])] = tuple(METHODS)
    seeds: tuple[int, ...] = (0, 2025, 3917)
    out: Path = Path("runs/continual")
    """Folder of the table; the runs go into OUT/runs."""


def grid(config: ContinualConfig) -> list[RunConfig]:
    """One resolved run a cell and seed."""
    config = checked(config, "networks", "methods", "balance")
    root = None if config.data_root is None else config.data_root.expanduser().absolute()
    shared = fields_of(config, TrainingConfig, data_root=root, progress=config.progress)
    runs = [
        RunConfig(**shared, network=n, method=m, balance=b, variant=v, seed=s)
        for n in config.networks for m in config.methods for b in stored_names(config.balance)
        for v in that_differ(config.variants, b) for s in config.seeds
    ]  # fmt: skip
    return placed(map(resolve, cells_of_sweep(runs, RULES)), defaults_of, config.out)


def train(run: RunConfig) -> dict:
    """Run to the end and return the results; those of a run that had finished are read, not made again."""
    return carry_out(run, build.build_data, _train)


def _train(run: RunConfig, data: ContinualData, folder: RunFolder, accelerator: Accelerator) -> dict:
    learner = build.build_learner(run, data, folder, accelerator)
    accuracies = learner.fit(resume=run.resume)
    unimodal = learner.unimodal[-1]
    results = {
        "accuracies": accuracies,
        "average_accuracies": metrics.average_accuracies(accuracies),
        "mean_accuracy": metrics.average_incremental_accuracy(accuracies),
        "average_forgetting": metrics.average_forgetting_rate(accuracies),
        "test_accuracy": sum(accuracies[-1]) / len(accuracies[-1]),  # of all tasks, at the end
        **{f"test_accuracy_{name}": sum(task[name] for task in unimodal) / len(unimodal) for name in unimodal[0]},
        "best_epoch": last_best(learner.history, len(data.tasks) - 1),
        **coefficients(learner.history, all_tasks(learner.effects)),
    }
    if run.network == "snn":
        results |= rates_of(firing_rates(learner))
    return results


def all_tasks(effects: Sequence[Effects]) -> Effects:
    """The batches of one task after those of another."""
    return Effects(*([value for each in effects for value in getattr(each, name)] for name in Effects._fields))


def last_best(history: Sequence[dict], task: int) -> int:
    """The epoch that validation chose in a task."""
    of_task = [record for record in history if record["task"] == task]
    return max(of_task, key=lambda record: (record["val_accuracy_fused"], -record["val_loss"], -record["epoch"]))[
        "epoch"
    ]


def firing_rates(learner: ContinualLearner) -> FiringRates:
    """Of the final network on the test samples of all tasks, in a pass of their own: tasks are tested one by one."""
    network = learner.network
    with FiringRates(build.spiking(network)) as rates:
        learner.stage(len(learner.data.tasks) - 1).accuracies("test", learner.data.tasks)
    return rates


def prepare(runs: Sequence[RunConfig]) -> None:
    """Read the benchmark, and refuse a memory too small, before hours of training."""
    data = build.build_data(runs[0])
    stated = data.about.get("published", {})
    sizes = {split: len(getattr(data, split)) for split in stated}
    if sizes != stated:
        found, wanted = ("/".join(map(str, each.values())) for each in (sizes, stated))
        say("continual", f"{data.name} has {found} samples (train/val/test), published are {wanted}")
    for run in runs:
        check_memory(build.build_method(run), run.memory or 0, data)


def with_digest(runs: list[RunConfig]) -> list[RunConfig]:
    """The runs with the mark of their data."""
    return shared_digest(runs, lambda run: build.build_data(run).about.get("digest"))


def size_of(run: RunConfig) -> Size:
    """What a run would train: its epochs of every task, exemplars included, and validation over all classes so far."""
    data = build.build_data(run)
    samples, beside = 0.0, (run.exemplar_batch_size or 0)
    for task, classes in enumerate(data.tasks):
        own = len(data.train.rows_of(classes))
        steps = -(-own // run.batch_size)
        seen = sum(len(data.val.rows_of(earlier)) for earlier in data.tasks[: task + 1])
        samples += run.epochs * (own + (steps * beside if task else 0) + FORWARD * seen)
    numbers = published.continual(run.dataset).get((run.cell[1], run.variant))
    paper = f"{numbers.accuracy:.2f}" if numbers is not None and run.network == "ann" else "–"
    labels = report.LABELS[run.cell[1]], run.variant
    return Size(samples, lambda accelerator: trial(run, accelerator), (run.network.upper(), labels[0]), labels, paper)


def trial(run: RunConfig, accelerator: Accelerator) -> Trial:
    """The first batch of the second task, where a teacher and exemplars take their time too."""
    learner = build.build_learner(run, build.build_data(run), RunFolder(run.out), accelerator)
    learner.trainer(0).release()
    trainer = learner.trainer(1)
    batch = next(iter(trainer.stage.batches(0)))
    return Trial(trainer.step, batch, len(batch[1].label))


TASK = SweepTask(train, size_of, report.write, prepare=prepare, mark=with_digest,
                 epochs=lambda run: run.epochs * len(build.build_data(run).tasks),
                 epoch_cost=lambda run: 1)  # fmt: skip


def main(config: ContinualConfig) -> None:
    """Train what is missing, write, and print the table."""
    sweep(config, grid(config), TASK, config.out.expanduser())
