"""From a config to its parts: data, network, method, modulation, optimiser."""

import functools
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from experiments.continual.options import RunConfig
from experiments.sweep.balance import PLAIN
from experiments.sweep.build import balance_of, heads_train, modulation_of
from experiments.sweep.features import optimizer_of
from experiments.sweep.options import schedule_of
from experiments.sweep.runs import watch_of
from iemf.continual import av_digits_ci, benchmarks
from iemf.continual.data import ContinualData, check_classes
from iemf.continual.learner import ContinualLearner, ContinualOptions
from iemf.continual.methods import AVCIL, METHODS, ContinualMethod
from iemf.continual.model import ContinualNetwork
from iemf.seeds import Stream, mix_seed
from iemf.training import RunFolder
from iemf_snn.rate import RateCoded


@functools.cache
def load_data(dataset: str, root: Path | None, tasks: int | None) -> ContinualData:
    """The benchmark; made once for all runs of a process."""
    if dataset == "av-digits-ci":
        data = av_digits_ci.load(tasks=tasks or av_digits_ci.TASKS)
    else:
        data = benchmarks.load(dataset, root, tasks)
    check_classes(data)
    return data


def build_data(run: RunConfig) -> ContinualData:
    """The run's benchmark."""
    return load_data(run.dataset, run.data_root, run.tasks)


def build_method(run: RunConfig) -> ContinualMethod:
    """With the benchmark's weights, for AV-CIL; the released one distils no attention."""
    if run.method == "av-cil":
        return AVCIL(run.instance, run.category, attention=run.recipe != "released")
    return METHODS[run.method]()


def activation(run: RunConfig) -> nn.Module:
    """Behind each projection: LIF neurons, ReLU, or nothing as released."""
    if run.network == "snn":
        return RateCoded(run.time_steps)
    return nn.Identity() if run.recipe == "released" else nn.ReLU()


def build_network(run: RunConfig, data: ContinualData) -> ContinualNetwork:
    """For the first task, with initial weights of the run's seed."""
    torch.manual_seed(mix_seed(Stream.TASK, run.seed))
    make = functools.partial(activation, run)
    return ContinualNetwork(data.audio_size, data.visual_size, data.tasks[0].stop, run.features, make,
                            train_encoders_by_heads=heads_train(run, run.balance or PLAIN))  # fmt: skip


def spiking(network: ContinualNetwork) -> dict[str, nn.Module]:
    """What spikes in a spiking run, by modality."""
    return {"audio": network.activation_audio, "visual": network.activation_visual}


def build_learner(run: RunConfig, data: ContinualData, folder: RunFolder, accelerator: Accelerator) -> ContinualLearner:
    """Everything a run learns with."""
    options = ContinualOptions(
        run.epochs, run.batch_size, run.exemplar_batch_size or 0, run.memory or 0, run.seed,
        window=run.window, head_window=run.head_window, clip_norm=run.clip_norm,
        clip_first=run.recipe == "released", progress=run.progress, schedule=schedule_of(run),
    )  # fmt: skip
    network = build_network(run, data).to(accelerator.device)
    return ContinualLearner(network, build_method(run), data, options, folder, accelerator,
                            functools.partial(optimizer_of, run), functools.partial(modulation_of, run),
                            functools.partial(balance_of, run, run.balance or PLAIN),
                            watch_of(run, spiking(network), accelerator))  # fmt: skip
