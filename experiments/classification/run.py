"""A classification run, from its config to its results."""

import contextlib
import functools
from dataclasses import replace

from accelerate import Accelerator
from accelerate.utils import set_seed

from experiments.classification import build
from experiments.classification.options import RunConfig, resolve
from experiments.sweep.build import balance_of, modulation_of
from experiments.sweep.options import window_of
from experiments.sweep.runs import best_of, carry_out, coefficients, rates_of, results_of, watch_of
from experiments.sweep.threads import settle
from iemf.classification.stage import ClassificationStage
from iemf.data.base import AudioVisualData
from iemf.training import RunFolder, Trainer, TrainingOptions
from iemf_snn.firing_rate import FiringRates


def train(config: RunConfig) -> dict:
    """Run a config to its end and return its results; those of a run that had finished are read, not made again.

    Raises:
        UserError: see :func:`experiments.classification.options.resolve`, the data sets and the loop.
    """
    return carry_out(resolve(config), build.build_data, _train)


def trainer_of(config: RunConfig, data: AudioVisualData, folder: RunFolder, accelerator: Accelerator) -> Trainer:
    """Everything a resolved run trains with."""
    set_seed(config.seed)
    network = build.build_network(config, data).to(accelerator.device)
    optimizer = build.build_optimizer(config, network)
    balance = balance_of(config, config.method, network, optimizer, config.seed)
    stage = ClassificationStage(network, balance, data, config.batch_size, config.seed, accelerator, config.workers,
                                whole_batches=config.recipe == "released")  # fmt: skip
    options = TrainingOptions(
        config.epochs, config.seed, config.clip_norm, window_of(config), config.progress,
        schedule=build.build_schedule(config),
    )  # fmt: skip
    modulation = modulation_of(config, network, optimizer, config.seed)
    watch = watch_of(config, network.encoders, accelerator)
    return Trainer(stage, optimizer, options, folder, accelerator, modulation, watch=watch)


def _train(config: RunConfig, data: AudioVisualData, folder: RunFolder, accelerator: Accelerator) -> dict:
    trainer = trainer_of(config, data, folder, accelerator)
    trainer.fit(resume=config.resume)
    network = trainer.stage.module
    with FiringRates(network.encoders) if config.network == "snn" else contextlib.nullcontext() as rates:
        test, effects = trainer.stage.test()
    best = best_of(trainer)
    return {
        "test_accuracy": test["fused"],
        "test_accuracy_audio": test["audio"],
        "test_accuracy_visual": test["visual"],
        "val_accuracy": trainer.history[best["best_epoch"]]["val_accuracy_fused"],
        **best,
        **coefficients(trainer.history, effects),
        "classes": list(data.classes),
        "dataset": data.name,
        "data": data.about,
        "parameters": sum(p.numel() for p in network.parameters()),
        **rates_of(rates),
    }


def main(config: RunConfig) -> None:
    """Train and say how it went."""
    config = resolve(replace(config, out=config.out.expanduser()))
    if results_of(config) is None:
        from experiments.classification.size import trial  # which needs this module

        settle(config, functools.partial(trial, config))
    results = train(config)
    print(
        f"test accuracy {results['test_accuracy']:.2f} % (audio {results['test_accuracy_audio']:.2f}, "
        f"visual {results['test_accuracy_visual']:.2f}) at epoch {results['best_epoch']}, chosen on validation "
        f"({results['val_accuracy']:.2f} %); {config.out}"
    )
