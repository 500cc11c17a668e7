"""Train one audio-visual classifier.

python -m experiments.classification --network snn --method ogm-ge --iemf --seed 0 --out runs/first
"""

import contextlib
import time
from dataclasses import asdict, replace

import accelerate
import torch
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

from experiments import build, cli
from experiments.allocator import keep_freed_memory
from experiments.options import RunConfig, resolve
from iemf.files import write_json
from iemf.training import RunFolder, Trainer, TrainingOptions
from iemf_snn.firing_rate import FiringRates


def train(config: RunConfig) -> dict:
    """Run a config to its end and return its results; those of a run that had finished are read, not made again.

    Raises:
        UserError: see :func:`experiments.options.resolve`, the data sets and the loop.
    """
    config = resolve(config)
    keep_freed_memory()
    folder = RunFolder(config.out)
    folder.check(config.stored(), config.resume)
    if (results := folder.results()) is not None:
        return results
    began = time.perf_counter()
    accelerator = build.build_accelerator(config)
    accelerator.wait_for_everyone()  # every process has looked at the folder before one of them writes to it
    try:
        return _train(config, folder, accelerator, began)
    finally:
        if accelerator.num_processes == 1:
            AcceleratorState._reset_state(reset_partial_state=True)  # the next run may want another precision


def _train(config: RunConfig, folder: RunFolder, accelerator: accelerate.Accelerator, began: float) -> dict:
    data = build.build_data(config)
    set_seed(config.seed)
    network = build.build_network(config, data).to(accelerator.device)
    optimizer = build.build_optimizer(config, network)
    options = TrainingOptions(
        config.epochs, config.batch_size, config.seed, config.workers, config.clip_norm, config.modulate_from or 0,
        config.progress,
    )  # fmt: skip
    trainer = Trainer(
        network,
        build.build_method(config, network),
        build.build_modulation(config, network, optimizer),
        optimizer,
        build.build_scheduler(config, optimizer),
        data,
        options,
        folder,
        accelerator,
    )
    if accelerator.is_main_process:
        folder.start(config.stored())
    accelerator.wait_for_everyone()
    trainer.fit(resume=config.resume)
    encoders = {"audio": network.audio_encoder, "visual": network.visual_encoder}
    with FiringRates(encoders) if config.network == "snn" else contextlib.nullcontext() as rates:
        test = trainer.test()
    results = {
        "test_accuracy": test.fused,
        "test_accuracy_audio": test.audio,
        "test_accuracy_visual": test.visual,
        "val_accuracy": trainer.history[trainer.best["epoch"]]["val_accuracy_fused"],
        "best_epoch": trainer.best["epoch"],
        "seed": config.seed,
        "classes": list(data.classes),
        "dataset": data.name,
        "data": data.about,
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds_this_session": time.perf_counter() - began,
        "device": str(accelerator.device),
        "torch": torch.__version__,
    }
    if rates is not None:
        results["firing_rate"] = rates.overall()
        results["firing_rate_layers"] = [asdict(layer) for layer in rates.layers()]
    if accelerator.is_main_process:
        write_json(folder.results_file, results)
    return results


def main(config: RunConfig) -> None:
    """Train and say how it went."""
    results = train(replace(config, out=config.out.expanduser()))
    print(
        f"test accuracy {results['test_accuracy']:.2f} % (audio {results['test_accuracy_audio']:.2f}, "
        f"visual {results['test_accuracy_visual']:.2f}) at epoch {results['best_epoch']}, chosen on validation "
        f"({results['val_accuracy']:.2f} %); {config.out}"
    )


if __name__ == "__main__":
    cli.run(RunConfig, main, "classification")
