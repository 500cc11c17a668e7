"""Exemplars: a few training samples of every class learnt so far, drawn at random, no more than the memory holds."""

from collections.abc import Mapping, Sequence

import torch

from iemf.errors import UserError
from iemf.seeds import Stream, mix_seed


def select(classes: Mapping[int, Sequence[int]], memory: int, seed: int) -> dict[int, list[int]]:
    """{class: rows kept}: floor(memory / classes) of each, or all it has; drawn once a class, so what is kept later is
    part of what was kept before.

    Args:
        classes: {class: its training rows}, of every class learnt so far.
        memory: samples in all.
        seed: of the run.

    Raises:
        UserError: the memory is smaller than the number of classes.
    """
    if memory < len(classes):
        raise UserError(f"`memory` {memory} is smaller than the {len(classes)} old classes; each needs one at least")
    quota = memory // len(classes)
    kept = {}
    for label, rows in classes.items():
        generator = torch.Generator().manual_seed(mix_seed(Stream.EXEMPLARS, seed, label))
        order = torch.randperm(len(rows), generator=generator).tolist()
        kept[label] = sorted(rows[i] for i in order[:quota])
    return kept
