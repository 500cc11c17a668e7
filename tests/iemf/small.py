"""Stages small enough to see through, and trainers of them."""

import functools
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

import iemf_ann
import iemf_snn
from iemf.avqa import vocabulary
from iemf.avqa.data import ArrayFeatures, AVQAData, AVQASplit
from iemf.avqa.questions import Question
from iemf.balance import METHODS
from iemf.classification.stage import ClassificationStage
from iemf.continual.data import ContinualData, FeatureSplit, equal_tasks
from iemf.continual.learner import ContinualLearner, ContinualOptions
from iemf.continual.methods import SSIL
from iemf.continual.model import ContinualNetwork
from iemf.data.base import AudioVisualData, KeepInputs
from iemf.data.noise import Noise, standardise
from iemf.data.sets.av_digits import NoisyPairs
from iemf.factory import make_modulation
from iemf.fusion import ConcatFusion
from iemf.global_norm import with_global_norms
from iemf.logits import Logits
from iemf.network import AudioVisualNetwork
from iemf.seeds import Stream, mix_seed
from iemf.training import Evidence, Outcome, RunFolder, StageDefaults, Trainer, TrainingOptions
from iemf.training.schedule import Schedule


def folder_of(path) -> RunFolder:
    """A run's folder, started."""
    folder = RunFolder(path)
    folder.start({})
    return folder


# ---- a stage of three layers


class ToyNetwork(nn.Module):
    """x [B, 3] -> logits of two heads and a fusion, with dropout."""

    def __init__(self):
        super().__init__()
        self.encoder, self.dropout = nn.Linear(3, 4), nn.Dropout(0.5)
        self.heads = nn.ModuleDict({"audio": nn.Linear(4, 2), "visual": nn.Linear(4, 2)})
        self.fusion = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Logits:
        z = self.dropout(self.encoder(x))
        return Logits({name: head(z) for name, head in self.heads.items()}, self.fusion(z))


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


class Toy(StageDefaults):
    """Ten samples in batches of four; dropout is part of the loss; validation says what ``ranks`` say."""

    name = "toy"

    def __init__(self, ranks=(1.0, 2.0, 5.0, 3.0)):
        super().__init__()
        torch.manual_seed(0)
        self.module, self.ranks, self.steps = ToyNetwork(), ranks, 3
        self.count, self.seen, self.hooks = 0, [], []
        generator = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(10, 3, generator=generator), torch.arange(10) % 2

    def batches(self, epoch):
        return (Pair(self.x[rows], self.y[rows]) for rows in torch.arange(10).split(4))

    def loss(self, network, batch, epoch):
        assert self.module.training
        self.seen.append(len(batch.y))
        logits = network(batch.x)
        losses = [nn.functional.cross_entropy(each, batch.y) for each in (*logits.unimodal.values(), logits.fused)]
        loss = sum(losses)
        totals = {"loss": loss.detach() * len(batch.y), "correct_fused": (logits.fused.argmax(1) == batch.y).sum()}
        return Outcome(loss, len(batch.y), totals, Evidence(logits, batch.y))

    def on_gradients(self, outcome, epoch):
        self.hooks.append(epoch)

    def validate(self, epoch):
        self.count += 1
        return (self.ranks[epoch], 0.0), {"val_accuracy": self.ranks[epoch]}

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def toy_trainer(path, stage, accelerator, epochs=4, iemf=False, before=(), **options) -> Trainer:
    """With Adam, and a learning rate that falls to a tenth every two epochs."""
    optimizer = torch.optim.Adam(stage.module.parameters(), lr=0.1)
    modulation = make_modulation(stage.module.fusion.parameters(), optimizer) if iemf else None
    options = {"schedule": Schedule("step", drops=(2, 4, 6)), **options}
    how = TrainingOptions(epochs, 7, progress=False, **options)
    return Trainer(stage, optimizer, how, folder_of(path), accelerator, modulation, before)


# ---- classification


def pairs(count: int, seed: int) -> NoisyPairs:
    """Three classes of patterns in noise; on smaller images oneDNN gets bf16 gradients wrong (memory never written)."""
    patterns = torch.randn(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(count) % 3
    return NoisyPairs(*(standardise(part[labels]) for part in patterns), labels, Noise((0.0, 5.0), (0.0, 5.0)), seed)


def audio_visual_data() -> AudioVisualData:
    """48, 12 and 15 samples; the noise of train changes with the epoch."""
    splits = {name: pairs(count, seed) for seed, (name, count) in enumerate(zip(SIZES, SIZES.values(), strict=True))}
    return AudioVisualData(
        name="patterns", classes=("a", "b", "c"), audio_channels=1, visual_channels=1, front_end=KeepInputs(),
        set_epoch=lambda epoch: splits["train"].draw(mix_seed(Stream.TRAINING_NOISE, 1, epoch)), **splits,
    )  # fmt: skip


SIZES = {"train": 48, "val": 12, "test": 15}


def classification_stage(
    accelerator: Accelerator, method="concat", snn=False, vanilla=False, recipe="paper", batch_size=16,
    make=ClassificationStage, seed=1, backend="torch", sync_norm=False, encoder=None,
) -> ClassificationStage:  # fmt: skip
    """ResNet-18 of width 2, or whatever ``encoder`` makes."""
    torch.manual_seed(seed)
    if encoder is None and snn:
        encoder = functools.partial(iemf_snn.resnet18, 1, 2, time_steps=2, backend=backend)
    encoders = [(encoder or functools.partial(iemf_ann.resnet18, 1, 2))() for _ in range(2)]
    width = encoders[0].features
    network = AudioVisualNetwork(*encoders, ConcatFusion(width, 3), width, 3, not vanilla).to(accelerator.device)
    if sync_norm:
        with_global_norms(network)
    chosen = METHODS[method](network, seed=seed, recipe=recipe)
    return make(network, chosen, audio_visual_data(), batch_size, seed, accelerator)


def classification_trainer(
    path, accelerator: Accelerator, optimizer="sgd", iemf=False, epochs=3, drop=None, lr=0.02, momentum=0.9,
    weight_decay=1e-4, clip_norm=None, meant=None, **of_stage,
) -> Trainer:  # fmt: skip
    """Of :func:`classification_stage`; ``drop``: the epoch from which on the learning rate is a tenth; ``meant``: of
    how many epochs the method's schedule is."""
    stage = classification_stage(accelerator, **of_stage)
    parameters, common = stage.module.parameters(), {"lr": lr, "weight_decay": weight_decay}
    made = {"sgd": lambda: torch.optim.SGD(parameters, momentum=momentum, **common),
            "adam": lambda: torch.optim.Adam(parameters, **common),
            "adamw": lambda: torch.optim.AdamW(parameters, **common)}[optimizer]()  # fmt: skip
    if stage.balance.has_factors or stage.balance.needs_optimizer:
        stage.balance.use_optimizer(made)
    stage.balance.use_epochs(epochs, epochs if meant is None else meant)
    released = of_stage.get("recipe") == "released"
    modulation = make_modulation(stage.module.fusion.parameters(), made, released=released) if iemf else None
    schedule = Schedule() if drop is None else Schedule("step", drops=(drop,))
    how = TrainingOptions(epochs, 1, clip_norm, progress=False, schedule=schedule)
    return Trainer(stage, made, how, folder_of(path), accelerator, modulation)


# ---- class-incremental learning

CONTINUAL = {"epochs": 2, "batch_size": 6, "exemplar_batch": 6, "memory": 8, "seed": 0, "progress": False}


def blobs(classes=6, tasks=3) -> ContinualData:
    """Features around a centre of each class."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, 4)), rng.normal(size=(classes, 1, 1, 5))
    splits = {}
    for name, count in (("train", 10), ("val", 4), ("test", 4)):
        labels = np.repeat(np.arange(classes), count)
        audio = centres[0][labels] + rng.normal(0, 0.3, (len(labels), 4))
        visual = centres[1][labels] + rng.normal(0, 0.3, (len(labels), 2, 3, 5))
        splits[name] = FeatureSplit(audio.astype(np.float16), visual.astype(np.float16), labels)
    return ContinualData("blobs", tuple("abcdef"[:classes]), equal_tasks(classes, tasks), **splits)


def learner(path, accelerator, method=None, modulation=None, data=None, identity=None, **options) -> ContinualLearner:
    """Of blobs, with SGD. ``identity``: what tells the run from another."""
    data = data or blobs()
    torch.manual_seed(0)
    network = ContinualNetwork(data.audio_size, data.visual_size, data.tasks[0].stop, features=16)
    folder = RunFolder(path)
    folder.start(identity or {})
    return ContinualLearner(
        network, method or SSIL(), data, ContinualOptions(**(CONTINUAL | options)), folder, accelerator,
        lambda n: torch.optim.SGD(n.parameters(), lr=0.05), modulation,
    )  # fmt: skip


# ---- question answering

KIND = ("Audio-Visual", "Existential")


def questions(count=24, videos=6) -> AVQAData:
    """Is what is heard seen? A few questions about each of a few videos, answered by their first numbers."""
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(videos, 4, 5)).astype(np.float16)
    visual = rng.normal(size=(videos, 4, 6, 2, 2)).astype(np.float16)
    number_of = {f"v{number}": number for number in range(videos)}
    asked = [
        Question(number, f"v{number % videos}", KIND, ("Is", "it"), "yes" if audio[number % videos, 0, 0] > 0 else "no")
        for number in range(count)
    ]
    words = vocabulary.build(asked)
    split = AVQASplit(asked, words, ArrayFeatures(audio, visual), number_of)
    return AVQAData("blobs", words, split, split, split)


def avqa_network(model, seed=0, width=8):
    """A baseline or ST-AVQA for :func:`questions`."""
    torch.manual_seed(seed)
    return model(5, 6, 3, 2, width)


def processes(count: int, index: int) -> SimpleNamespace:
    """What :func:`iemf.training.batches.share` asks of an accelerator."""
    return SimpleNamespace(num_processes=count, process_index=index)
