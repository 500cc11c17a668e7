"""What the loss looks like around the weights of one finished network: line, plane, sharpness, eigenvalues.

Two sets of weights, both by object: "fusion", the layer that ξ acts on, and "all" that the fused loss depends on, the
encoders and the fusion. The loss is the cross-entropy of the fused logits, on the same samples for all networks.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.utils.data import Subset

from experiments.classification import build
from experiments.classification.options import RunConfig
from iemf.analysis import landscape
from iemf.analysis.hessian import PRODUCTS, top_eigenvalues
from iemf.analysis.objective import Objective
from iemf.analysis.sharpness import sharpness
from iemf.data.base import AudioVisualData, Batch, batch_of, evaluation_loader
from iemf.network import MultimodalNetwork
from iemf.training import RunFolder, checkpoint

WEIGHTS = ("fusion", "all")
FUSION_STEPS, FUSION_CHAINS = 60, 4  # on features that are kept, a step takes a millisecond
DIRECTION_SEED = 0


class Samples(NamedTuple):
    """Batches, and the data set that they are of, without its splits."""

    data: AudioVisualData
    batches: list[Batch]


@functools.cache
def samples(options: RunConfig, split: str, count: int, batch_size: int) -> Samples:
    """Evenly spaced samples of a split in batches, all of them if there are no more than ``count``; one draw of the
    training split's noise and crops, the same for every run.

    Args:
        options: of :func:`experiments.classification.robustness.shared_options`.
        split: "train" or "val".
        count: at most.
        batch_size: of a batch.
    """
    data = build.build_data(options)
    dataset, front_end = getattr(data, split), data.front_end.eval()
    count = min(count, len(dataset))
    rows = [index * len(dataset) // count for index in range(count)]
    batches = evaluation_loader(Subset(dataset, rows), batch_size, options.workers or 0)
    with torch.no_grad():
        ready = [batch_of(front_end(*batch.inputs), batch.label) for batch in batches]
    return Samples(replace(data, train=None, val=None, test=None, set_epoch=None), ready)


def trained_network(config: RunConfig, data: AudioVisualData, device: torch.device) -> MultimodalNetwork:
    """A run's best weights, in evaluation: batch norm keeps its running statistics."""
    network = build.build_network(config, data)
    network.load_state_dict(checkpoint.load(RunFolder(config.out).best_checkpoint)["network"])
    return network.to(device).eval()


def objectives(network: MultimodalNetwork, batches: Sequence[Batch]) -> dict[str, Objective]:
    """The fused cross-entropy, a mean over all samples in nats, as a function of each of WEIGHTS.

    Args:
        network: in evaluation.
        batches: on its device.
    """
    total = sum(len(batch.label) for batch in batches)

    def whole(batch: Batch) -> torch.Tensor:
        logits = network(*batch.inputs).logits.fused
        return F.cross_entropy(logits, batch.label, reduction="sum") / total

    with torch.no_grad():
        features = [network(*batch.inputs).features for batch in batches]
    ready = [torch.cat([each[name] for each in features]) for name in network.encoders]
    labels = torch.cat([batch.label for batch in batches])
    fusion = list(network.fusion.parameters())
    encoders = [p for encoder in network.encoders.values() for p in encoder.parameters()]
    return {
        "fusion": Objective([lambda: F.cross_entropy(network.fusion(*ready), labels)], fusion),
        "all": Objective([functools.partial(whole, batch) for batch in batches], [*encoders, *fusion]),
    }


def products_of(network: str, weights: str) -> str:
    """How products of the Hessian are made: the fused operators of spiking encoders have no second derivative."""
    return PRODUCTS[network == "snn" and weights == "all"]


def measure(part: str, settings: dict, network: str, of: dict[str, Objective]) -> dict:
    """One part of a network's record, as JSON has it.

    Args:
        part: of :data:`PARTS`.
        settings: see :func:`experiments.classification.landscape.settings_of`.
        network: "ann" or "snn".
        of: see :func:`objectives`.
    """
    return PARTS[part](settings, network, of)


def _line(settings: dict, network: str, of: dict[str, Objective]) -> dict:
    along = landscape.steps(settings["span"], settings["points"])
    [direction] = landscape.random_directions(of["all"].parameters, 1, DIRECTION_SEED)
    return {"steps": along, "loss": [finite(value) for value in landscape.line(of["all"], direction, along)]}


def _plane(settings: dict, network: str, of: dict[str, Objective]) -> dict:
    along = landscape.steps(settings["span"], settings["points"])
    directions = landscape.random_directions(of["all"].parameters, 2, DIRECTION_SEED)
    rows = landscape.plane(of["all"], directions, along)
    return {"steps": along, "loss": [[finite(value) for value in row] for row in rows]}


def _sharpness(settings: dict, network: str, of: dict[str, Objective]) -> dict:
    search = {"fusion": (FUSION_STEPS, FUSION_CHAINS), "all": (settings["ascent_steps"], 1)}
    return {
        weights: {
            "radii": settings[weights],
            "values": sharpness(of[weights], settings[weights], *search[weights]),
            "loss": of[weights].value(),
            "norm": float(of[weights].vector().norm()),
        }
        for weights in WEIGHTS
    }


def _eigenvalues(settings: dict, network: str, of: dict[str, Objective]) -> dict:
    found = {}
    for weights in WEIGHTS:
        count = min(settings["count"], of[weights].vector().numel())
        products = products_of(network, weights)
        spectrum = top_eigenvalues(of[weights], count, settings["iterations"], products, settings["distance"])
        found[weights] = spectrum._asdict()
    return found


PARTS = {"line": _line, "plane": _plane, "sharpness": _sharpness, "eigenvalues": _eigenvalues}


def passes(part: str, settings: dict, network: str) -> float:
    """Forward and backward passes over the samples that a part takes with all weights; a forward alone is a third."""
    if part == "sharpness":
        return settings["ascent_steps"] * len(settings["all"]) + 1
    if part == "eigenvalues":
        return settings["iterations"] * (2 if products_of(network, "all") == "differences" else 4)
    return settings["points"] ** (2 if part == "plane" else 1) / 3


def finite(value: float) -> float | None:
    """None for what JSON cannot hold: far from the weights a loss may overflow."""
    return value if math.isfinite(value) else None
