"""A classification run, from its config to its results."""

import contextlib
import functools
from dataclasses import replace

from accelerate import Accelerator

from experiments.classification import build
from experiments.classification.options import RunConfig, modalities_of, resolve
from experiments.classification.size import trial
from experiments.classification.trainer import trainer_of
from experiments.sweep.runs import best_of, carry_out, coefficients, rates_of, results_of
from experiments.sweep.threads import settle
from iemf.data.base import AudioVisualData
from iemf.errors import UserError
from iemf.processes import is_first
from iemf.training import RunFolder
from iemf_snn.firing_rate import FiringRates


def train(config: RunConfig) -> dict:
    """Run a config to its end and return its results; those of a run that had finished are read, not made again.

    Raises:
        UserError: see :func:`experiments.classification.options.resolve`, the data sets and the loop.
    """
    return carry_out(resolve(config), build.build_data, _train)


def _train(config: RunConfig, data: AudioVisualData, folder: RunFolder, accelerator: Accelerator) -> dict:
    if config.sync_norm and accelerator.num_processes == 1:
        raise UserError("`sync_norm` is for a run of several processes (torchrun, accelerate launch), and one sees the "
                        "whole batch as it is; leave it out")  # fmt: skip
    trainer = trainer_of(config, data, folder, accelerator)
    trainer.fit(resume=config.resume)
    network = trainer.stage.module
    with FiringRates(network.encoders) if config.network == "snn" else contextlib.nullcontext() as rates:
        test, effects = trainer.stage.test()
    best = best_of(trainer)
    return {
        "test_accuracy": test["fused"],
        **{f"test_accuracy_{modality}": test[modality] for modality in network.encoders},
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
        settle(config, functools.partial(trial, config))
    results = train(config)
    if is_first():
        print(_sentence(config, results))


def _sentence(config: RunConfig, results: dict) -> str:
    names = () if config.modality else modalities_of(config.dataset)
    told = ", ".join(f"{name} {results[f'test_accuracy_{name}']:.2f}" for name in names)
    heads = f" ({told})" if told else ""
    return (f"test accuracy {results['test_accuracy']:.2f} %{heads} at epoch {results['best_epoch']}, chosen on "
          f"validation ({results['val_accuracy']:.2f} %); {config.out}")  # fmt: skip
