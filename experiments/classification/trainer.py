"""Everything a resolved run trains with, put together."""

from accelerate import Accelerator
from accelerate.utils import set_seed

from experiments.classification import build
from experiments.classification.options import RunConfig
from experiments.sweep.build import balance_of, modulation_of, window_of
from experiments.sweep.runs import watch_of
from iemf.classification.stage import ClassificationStage
from iemf.data.base import AudioVisualData
from iemf.global_norm import with_global_norms
from iemf.training import RunFolder, Trainer, TrainingOptions


def trainer_of(config: RunConfig, data: AudioVisualData, folder: RunFolder, accelerator: Accelerator) -> Trainer:
    """Everything a resolved run trains with."""
    set_seed(config.seed)
    network = build.build_network(config, data).to(accelerator.device)
    if config.sync_norm:
        with_global_norms(network)
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
