"""How much a classification run trains, and a step of it on random input, for a plan's estimate."""

import functools
from collections.abc import Sequence
from dataclasses import replace

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor

from experiments.classification import build
from experiments.classification.options import EMBEDDED, FURTHER, RunConfig, modalities_of
from experiments.classification.trainer import trainer_of
from experiments.sweep import published, threads
from experiments.sweep.plan import FORWARD
from experiments.sweep.task import Size, Trial
from iemf.balance import METHODS
from iemf.data.audio import SAMPLE_RATE
from iemf.data.base import AudioVisualData, KeepInputs, batch_of
from iemf.data.preparation import manifest
from iemf.data.sets import av_digits, av_digits_scan, crema_d, folder, kinetics_sounds, prepared, urbansound8k_av
from iemf.errors import UserError
from iemf.training import RunFolder

CLASSES = {"av-digits": 10, "av-digits-scan": 10, "crema-d": len(crema_d.CLASSES),
           "kinetics-sounds": kinetics_sounds.LABELS, "urbansound8k-av": len(urbansound8k_av.CLASSES)}  # fmt: skip
URBAN_TEST = round(urbansound8k_av.TEST_SHARE * urbansound8k_av.PUBLISHED["total"])
PUBLISHED = {
    "crema-d": crema_d.PUBLISHED,
    "kinetics-sounds": kinetics_sounds.PUBLISHED,
    "urbansound8k-av": {"train": urbansound8k_av.PUBLISHED["total"] - URBAN_TEST, "test": URBAN_TEST},
}
CPU_BATCH = 4  # enough to time a step on: there, time grows with the batch


def size_of(config: RunConfig) -> Size:
    """Of a resolved run.

    Raises:
        UserError: a folder of one's own that is not there.
    """
    sizes = split_sizes(config)
    samples = config.epochs * (sizes["train"] + FORWARD * sizes["val"]) + FORWARD * sizes["test"]
    paper = published.accuracies(config.dataset).get(config.cell)
    labels = METHODS[config.method].label if config.method else config.modality, config.variant
    like = (config.network.upper(), *([config.modality] if config.modality else []))
    return Size(samples, lambda accelerator: trial(config, accelerator), like, labels,
                "–" if paper is None else f"{paper:.2f}")  # fmt: skip


def split_sizes(config: RunConfig) -> dict[str, float]:
    """Clips of each split: of the folder if it is there, as published otherwise.

    Raises:
        UserError: a folder of one's own that is not there.
    """
    if config.dataset in EMBEDDED:
        per_digit = {"av-digits": av_digits, "av-digits-scan": av_digits_scan}[config.dataset].SPLIT_PER_DIGIT
        return {split: 10 * count for split, count in per_digit.items()}
    if config.dataset == "folder" and config.data_root.is_dir():
        return folder.clip_counts(config.data_root)
    if prepared.is_prepared(config.data_root):
        content = manifest.read(config.data_root, config.dataset)
        sizes = {split: about["total"] for split, about in content["clips"].items()}
    elif config.dataset in PUBLISHED:
        sizes = dict(PUBLISHED[config.dataset])
    else:
        raise UserError(f"`data_root` {config.data_root} is no folder; name the one that holds train/ and test/")
    return sizes if "val" in sizes else sizes | {"train": 0.9 * sizes["train"], "val": 0.1 * sizes["train"]}


def all_small(configs: Sequence[RunConfig]) -> bool:
    """Whether runs of one comparison, which differ in network and method, are small (experiments.sweep.threads)."""
    by_network = {config.network: config for config in configs}.values()
    return all(threads.is_small(config, functools.partial(trial, config)) for config in by_network)


def trial(config: RunConfig, accelerator: Accelerator) -> Trial:
    """A step on random input of the run's shapes."""
    set_seed(0)
    device = accelerator.device
    count = config.batch_size if device.type == "cuda" else min(config.batch_size, CPU_BATCH)
    inputs = random_input(config, count, device)
    classes = CLASSES.get(config.dataset, 10)
    batch = batch_of(inputs, torch.zeros(count, dtype=torch.long, device=device))
    further = dict.fromkeys(FURTHER.get(config.dataset, ()), 1)
    splits = dict.fromkeys(("train", "val", "test"), range(count))  # nothing is read
    data = AudioVisualData("random", tuple(map(str, range(classes))), audio_channels=inputs[0].shape[1],
                           visual_channels=inputs[1].shape[-3], further_channels=further, front_end=KeepInputs(),
                           **splits)  # fmt: skip
    config = replace(config, batch_size=count, modulate_from=0, start=None)
    trainer = trainer_of(config, data, RunFolder(config.out), accelerator)
    return Trial(trainer.step, batch, count)


def random_input(config: RunConfig, batch: int, device: torch.device) -> tuple[Tensor, ...]:
    """(spectrograms, images, ...) as the front end hands them to the network."""
    if config.dataset in EMBEDDED:
        shape = (batch, 1, av_digits.SIZE, av_digits.SIZE)
        return tuple(torch.randn(*shape, device=device) for _ in modalities_of(config.dataset))
    shape = build.spectrogram_of(config).shape(round(config.seconds * SAMPLE_RATE))
    frames = (config.frames,) if config.frames > 1 else ()
    side = config.image_size
    return torch.randn(batch, 1, *shape, device=device), torch.randn(batch, *frames, 3, side, side, device=device)
