"""Everything a resolved run trains with, put together."""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from experiments.classification import build
from experiments.classification.options import RunConfig
from experiments.sweep.build import balance_of, modulation_of, window_of
from experiments.sweep.runs import watch_of
from iemf.balance.base import RELEASED_LABEL_SMOOTHING
from iemf.classification.stage import ClassificationStage
from iemf.classification.unimodal import UnimodalStage
from iemf.data.base import AudioVisualData
from iemf.global_norm import with_global_norms
from iemf.network import MultimodalNetwork
from iemf.training import RunFolder, Trainer, TrainingOptions
from iemf.unimodal import UnimodalNetwork


def trainer_of(config: RunConfig, data: AudioVisualData, folder: RunFolder, accelerator: Accelerator) -> Trainer:
    """Everything a resolved run trains with."""
    set_seed(config.seed)
    network = build.build_network(config, data).to(accelerator.device)
    if config.sync_norm:
        with_global_norms(network)
    optimizer = build.build_optimizer(config, network)
    stage = stage_of(config, network, data, optimizer, accelerator)
    options = TrainingOptions(
        config.epochs, config.seed, config.clip_norm, window_of(config), config.progress,
        schedule=build.build_schedule(config),
    )  # fmt: skip
    modulation = modulation_of(config, network, optimizer, config.seed)  # None without a fusion
    watch = watch_of(config, network.encoders, accelerator)
    return Trainer(stage, optimizer, options, folder, accelerator, modulation, watch=watch)


def stage_of(
    config: RunConfig,
    network: MultimodalNetwork | UnimodalNetwork,
    data: AudioVisualData,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
) -> ClassificationStage | UnimodalStage:
    """Of both modalities with a balancing method, or of one."""
    released = config.recipe == "released"
    common = (data, config.batch_size, config.seed, accelerator, config.workers, released)
    if config.modality is not None:
        return UnimodalStage(network, *common, RELEASED_LABEL_SMOOTHING if released else 0.0)
    balance = balance_of(config, config.method, network, optimizer, config.seed)
    return ClassificationStage(network, balance, *common)
