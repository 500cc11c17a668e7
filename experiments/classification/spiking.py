"""What a trained spiking network does on the test split: accuracy, firing rates, operations, an energy estimate."""

from dataclasses import asdict
from pathlib import Path

import torch

from experiments.classification import build
from experiments.classification.options import RunConfig
from experiments.sweep.accelerator import accelerated
from iemf.classification.evaluate import evaluate
from iemf.data.base import evaluation_loader
from iemf.errors import UserError
from iemf_snn.energy import OperationCount, energy
from iemf_snn.firing_rate import FiringRates


def of_encoders(run: Path, config: RunConfig, weights: dict[str, torch.Tensor], batch_size: int) -> dict:
    """The record of a run, from a pass over its test split with these weights.

    Raises:
        UserError: several processes.
    """
    with accelerated(config.precision) as accelerator:
        if accelerator.num_processes > 1:
            raise UserError("spikes are counted on one test split in one process; start it without a launcher")
        data = build.build_data(config)
        network = build.build_network(config, data)
        network.load_state_dict(weights)
        prepared, loader = accelerator.prepare(network, evaluation_loader(data.test, batch_size))
        front_end = data.front_end.to(accelerator.device)
        readouts = [*network.heads.values(), *([network.fusion] if config.modality is None else [])]
        with FiringRates(network.encoders) as rates, OperationCount(network.encoders, readouts) as operations:
            accuracies = evaluate(prepared, front_end, loader, accelerator).accuracies
    counted = operations.per_sample(len(data.test))
    return {
        "run": str(run),
        "samples": len(data.test),
        "time_steps": config.time_steps,
        "test_accuracy": accuracies["fused"],
        "firing_rate": rates.overall(),
        "layers": [asdict(layer) for layer in rates.layers()],
        "operations_per_sample": counted,
        "energy_per_sample": asdict(energy(counted)),
    }
