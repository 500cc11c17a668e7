"""From a config to its parts: data, network, method, modulation, optimiser."""

import functools
from dataclasses import replace

import numpy as np
import torch
from torch import nn

import iemf_ann
import iemf_snn
from experiments.classification import start
from experiments.classification.options import EMBEDDED, RunConfig
from experiments.sweep.balance import PLAIN
from experiments.sweep.build import heads_train
from experiments.sweep.options import schedule_of
from experiments.sweep.runs import say
from iemf.data.audio import SpectrogramForm
from iemf.data.base import AudioVisualData
from iemf.data.clips import View
from iemf.data.noise import CLEAN, Noise
from iemf.data.sets import av_digits, av_digits_scan, folder, prepared
from iemf.data.sets.digest import digest_of
from iemf.errors import UserError
from iemf.fusion import make_fusion
from iemf.network import MultimodalNetwork
from iemf.training import RunFolder, checkpoint
from iemf.training.schedule import Schedule
from iemf.unimodal import UnimodalNetwork


def build_data(config: RunConfig) -> AudioVisualData:
    """The data set of a resolved config."""
    noise = Noise(config.snr_audio or CLEAN, config.snr_visual or CLEAN)
    test_noise = Noise(config.test_snr_audio or noise.audio, config.test_snr_visual or noise.visual)
    if config.dataset in EMBEDDED:
        return {"av-digits": av_digits, "av-digits-scan": av_digits_scan}[config.dataset].load(
            config.seed, noise, test_noise
        )
    if config.data_digest != (now := digest_of(config.data_root)):
        raise UserError(f"{config.data_root} has changed since the run began ({config.data_digest} then, {now} "
                        f"now); train again into another `out`")  # fmt: skip
    view = View(config.frames, config.image_size, config.seconds, released_crop(config))
    own = {"seed": config.seed, "view": view, "noise": noise, "test_noise": test_noise}
    own |= {"spectrogram": spectrogram_of(config), "split_seed": config.split_seed}
    if config.dataset == "folder" and not prepared.is_prepared(config.data_root):
        data = folder.load(config.data_root, **own)
        if config.progress:  # a sweep says it once, for all its runs
            for remark in data.about.get("remarks", ()):
                say("classification", remark)
        return data
    return prepared.load(config.data_root, config.dataset, **own)


def spectrogram_of(config: RunConfig) -> SpectrogramForm:
    """What the audio encoder sees of a data set of files."""
    return SpectrogramForm(config.spectrogram, config.spectrogram_size, zero_padded=config.recipe == "released")


def released_crop(config: RunConfig) -> int | None:
    """Side from which the released code cuts test pictures, where it does."""
    return 256 if config.recipe == "released" and config.dataset == "urbansound8k-av" else None


def encoder_factory(config: RunConfig):
    """in_channels -> encoder: the one place where "ann" and "snn" part."""
    if config.network == "ann":
        return functools.partial(iemf_ann.resnet18, width=config.width, stem=config.stem)
    # The released node divides its input by τ_m and fires strictly above θ, i.e. at or above the next float32.
    above = float(np.nextafter(np.float32(0.5), np.float32(1)))
    released = {"decay_input": True, "v_threshold": above} if config.recipe == "released" else {}
    neuron = {"neuron": "plif"} if config.neuron == "plif" else {"backend": config.lif_backend}
    return functools.partial(
        iemf_snn.resnet18,
        width=config.width,
        time_steps=config.time_steps,
        stem=config.stem,
        norm_gain=config.norm_gain,
        **neuron,
        **released,
    )


def build_network(config: RunConfig, data: AudioVisualData) -> MultimodalNetwork | UnimodalNetwork:
    """For a data set, from the global random state: encoders, the fusion layer and heads; of one modality alone
    its encoder and head among them, or those that the run is told to begin with."""
    if config.modality is not None:
        whole = _whole(config, data) if config.start is None else _started(config, data)
        name = config.modality
        return UnimodalNetwork(name, whole.encoders[name], whole.heads[name], tuple(data.channels))
    return _whole(config, data)


def _whole(config: RunConfig, data: AudioVisualData) -> MultimodalNetwork:
    make_encoder, classes = encoder_factory(config), len(data.classes)
    encoders = {name: make_encoder(channels) for name, channels in data.channels.items()}
    features = encoders["audio"].features
    fusion = make_fusion(config.fusion or "concat", features, classes, len(encoders))
    # Of one modality alone, whose head trains its encoder whatever this says, there is no method.
    train_encoders = heads_train(config, config.method or PLAIN)
    return MultimodalNetwork(encoders, fusion, features, classes, train_encoders)


def _started(config: RunConfig, data: AudioVisualData) -> MultimodalNetwork | UnimodalNetwork:
    """The network of the run to begin with, of its best epoch."""
    start.refuse_changed(config)
    folder = RunFolder(config.start)
    # That it was begun with weights of another is of the past: its own are loaded.
    network = build_network(replace(RunConfig.from_stored(folder.read_config()), start=None), data)
    network.load_state_dict(checkpoint.load(folder.best_checkpoint)["network"])
    return network


def build_optimizer(config: RunConfig, network: nn.Module) -> torch.optim.Optimizer:
    """One parameter group: IEMF changes the fusion's gradient or step, not its optimiser."""
    released = config.recipe == "released"
    parameters = decayed(network, config.weight_decay) if released else network.parameters()
    common = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        nesterov = released and config.momentum > 0
        return torch.optim.SGD(parameters, momentum=config.momentum, nesterov=nesterov, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer](parameters, **common)


def decayed(network: nn.Module, weight_decay: float) -> list[dict]:
    """Groups of parameters as the released code has them: weights of two or more dimensions decay, biases and norms
    do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def build_schedule(config: RunConfig) -> Schedule:
    """Of the learning rate; a step is a tenth from epoch lr_drop on."""
    return schedule_of(config, () if config.lr_drop is None or config.lr_drop < 0 else (config.lr_drop,))
