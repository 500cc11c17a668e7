"""From a config to its parts: data, network, stage, modulation, optimiser, trainer."""

import functools

import torch
from accelerate import Accelerator
from torch import nn

from experiments.avqa import data as qa_data
from experiments.avqa.options import GROUNDING, RunConfig
from experiments.sweep.balance import PLAIN
from experiments.sweep.build import balance_of, heads_train, modulation_of, window_of
from experiments.sweep.features import optimizer_of
from experiments.sweep.options import schedule_of
from experiments.sweep.runs import watch_of
from iemf.avqa.answer import Answering
from iemf.avqa.baseline import Baseline
from iemf.avqa.data import AVQAData
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.match import MatchStage
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.stages import AnswerStage, GroundedAnswerStage
from iemf.seeds import Stream, mix_seed
from iemf.training import RunFolder, Trainer, TrainingOptions, checkpoint
from iemf_snn.rate import RateCoded

MODELS = {"baseline": Baseline, "st-avqa": STAVQA}
STAGES = {"baseline": AnswerStage, "st-avqa": GroundedAnswerStage}


def build_data(run: RunConfig) -> AVQAData:
    """The run's data, without the modalities that it is blind to."""
    return qa_data.load(run.dataset, run.data_root, run.cache).blinded(run.blind)


def activation(run: RunConfig) -> nn.Module:
    """Around the fusion layer: LIF neurons, tanh, or nothing as released."""
    if run.network == "snn":
        return RateCoded(run.time_steps)
    return nn.Identity() if run.recipe == "released" else nn.Tanh()


def build_network(run: RunConfig, data: AVQAData, taught: bool = True) -> Answering | MatchNetwork:
    """With initial weights of the run's seed; if ``taught``, ST-AVQA with those that stage 1 has learnt."""
    torch.manual_seed(mix_seed(Stream.TASK, run.seed))
    if run.model == GROUNDING:
        return MatchNetwork(data.audio_size, data.visual_size, run.width)
    words, answers = (len(part) for part in data.vocabulary)
    make = functools.partial(activation, run)
    network = MODELS[run.model](data.audio_size, data.visual_size, words, answers, run.width, make,
                                train_encoders_by_heads=heads_train(run, run.balance or PLAIN))  # fmt: skip
    if run.model == "st-avqa" and taught:
        stage_1 = RunFolder(run.grounding.out)
        network.grounding.load_state_dict(checkpoint.load(stage_1.best_checkpoint)["network"])
    return network


def build_trainer(
    run: RunConfig, data: AVQAData, folder: RunFolder, accelerator: Accelerator, taught: bool = True
) -> Trainer:
    """Everything a run trains with; ``taught`` as of :func:`build_network`."""
    network = build_network(run, data, taught).to(accelerator.device)
    optimizer = optimizer_of(run, network)
    drops = tuple(range(run.drop_every, run.epochs, run.drop_every)) if run.drop_every else ()
    common = (network, data.train, data.val, run.batch_size, run.seed, accelerator)
    seed = mix_seed(Stream.TASK, run.seed, 1)
    if run.model == GROUNDING:
        stage, modulation = MatchStage(*common), None
    else:
        stage = STAGES[run.model](*common, balance=balance_of(run, run.balance or PLAIN, network, optimizer, seed))
        modulation = modulation_of(run, network, optimizer, seed)
    options = TrainingOptions(run.epochs, run.seed, run.clip_norm, window_of(run), run.progress,
                              schedule=schedule_of(run, drops))  # fmt: skip
    watch = watch_of(run, {} if run.network == "ann" else {"fusion": network.answer}, accelerator)
    return Trainer(stage, optimizer, options, folder, accelerator, modulation, watch=watch)
