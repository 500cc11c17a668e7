"""What training costs until it is as good: the metric of Fig. 2 g, from the epochs of finished runs.

    python -m experiments.cost --runs runs/av-digits --out runs/cost

Errors are those of validation, thresholds those that the variants of one method, network and seed share. Operations are
counted by PyTorch in a step on random input, forward and backward; of spiking runs also the synaptic operations of the
forward pass, with the best weights on SAMPLES validation samples. Nothing is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.classification import build, cost_report, size
from experiments.classification.options import RunConfig
from experiments.classification.robustness import find_runs
from experiments.sweep.accelerator import accelerated
from iemf.analysis.cost import cost, epochs_to, thresholds
from iemf.data.base import evaluation_loader
from iemf.errors import UserError
from iemf.lock import only_writer
from iemf.training import RunFolder, checkpoint
from iemf_snn.energy import OperationCount

SAMPLES = 100


@dataclass(frozen=True)
class CostConfig:
    """Epochs and operations until vanilla, joint learning and IEMF reach the same validation errors."""

    runs: Path
    """The --out of experiments.compare; it is only read."""
    out: Path = Path("runs/cost")


def operations_of_step(config: RunConfig) -> float:
    """FLOPs of a training step a sample: forward, backward and what the method computes, by PyTorch's counter.

    It counts convolutions and matrix products (a multiply-accumulate is two); in a spiking network every time step is
    a dense one.
    """
    with accelerated(config.precision) as accelerator:
        trial = size.trial(config, accelerator)
        with FlopCounterMode(display=False) as counter:
            trial.step(trial.batch, 0)
    return counter.get_total_flops() / trial.samples


@torch.no_grad()
def synaptic_operations(config: RunConfig) -> float:
    """Accumulates of a forward pass a sample, of a spiking run's best weights in evaluation mode."""
    data = build.build_data(replace(config, progress=False))
    network = build.build_network(config, data)
    network.load_state_dict(checkpoint.load(RunFolder(config.out).best_checkpoint)["network"])
    batch = next(iter(evaluation_loader(data.val, SAMPLES)))
    with OperationCount(network.encoders) as operations:
        network.eval()(*data.front_end.eval()(*batch.inputs))
    return operations.per_sample(len(batch.label))["snn_acs"]


def errors(config: RunConfig) -> list[float]:
    """Validation error in percent, one an epoch."""
    return [100 - record["val_accuracy_fused"] for record in RunFolder(config.out).metrics()]


def costs(configs: Sequence[RunConfig]) -> list[dict]:
    """One record a run that has another variant beside it: epochs to each threshold, their mean, operations and cost.

    Raises:
        UserError: no method has two variants.
    """
    groups: dict[tuple, list[RunConfig]] = {}
    for config in configs:
        groups.setdefault((config.method, config.network, config.seed), []).append(config)
    rows, operations = [], {}
    for group in groups.values():
        if len(group) < 2:
            continue
        curves = {config.variant: errors(config) for config in group}
        levels = thresholds(list(curves.values()))
        for config in group:
            if config.cell not in operations:
                operations[config.cell] = operations_of_step(config) * size.split_sizes(config)["train"]
            epoch, curve = {"flops": operations[config.cell]}, curves[config.variant]
            if config.network == "snn":
                epoch["synaptic"] = synaptic_operations(config) * size.split_sizes(config)["train"]
            cell = {name: getattr(config, name) for name in ("network", "method", "variant", "seed")}
            rows.append(cell | {"thresholds": levels, "epochs_to": [epochs_to(curve, level) for level in levels],
                                "epochs": cost(curve, levels)}
                        | {f"{name}_per_epoch": count for name, count in epoch.items()}
                        | {name: cost(curve, levels, count) for name, count in epoch.items()})  # fmt: skip
    if not rows:
        raise UserError("`runs` hold no method with two variants of one seed; there is nothing to compare")
    return rows


def main(config: CostConfig) -> None:
    """Compute, write, and print the table."""
    configs, unfinished = find_runs(config.runs.expanduser())
    out = config.out.expanduser()
    with only_writer(out, "is writing"):
        print(cost_report.write(costs(configs), configs, unfinished, out))
    print(f"\nWritten to {config.out}: table.md, cost.json, cost.csv, cost.png")
