"""Splits that a data set leaves to us: stratified by class, drawn with a seed."""

from collections.abc import Sequence

import torch

from iemf.errors import UserError
from iemf.seeds import Stream, mix_seed

VALIDATION_SHARE = 0.1


def draw_split(labels: Sequence[int], share: float, seed: int) -> list[bool]:
    """For each sample whether it falls into the test split: round(share·n) in all.

    Each class gives the whole part of its share; the classes with the largest rests give one more.
    """
    rows = rows_by_label(labels)
    counts = {label: int(share * len(of_class)) for label, of_class in rows.items()}
    rest = round(share * len(labels)) - sum(counts.values())
    by_rest = sorted(rows, key=lambda label: (counts[label] - share * len(rows[label]), label))
    for label in by_rest[:rest]:
        counts[label] += 1
    return _draw(rows, counts, seed, Stream.SPLIT)


def draw_validation(labels: Sequence[int], classes: Sequence[str], seed: int) -> list[bool]:
    """For each training sample whether it is set aside: a tenth of each class, at least one.

    Raises:
        UserError: a class of fewer than two samples.
    """
    rows = rows_by_label(labels)
    for label, of_class in rows.items():
        if len(of_class) < 2:
            raise UserError(f"class {classes[label]!r} has one training clip; validation needs a second one")
    counts = {label: set_aside(len(of_class)) for label, of_class in rows.items()}
    return _draw(rows, counts, seed, Stream.VALIDATION)


def set_aside(count: int) -> int:
    """How many of a class's training samples become validation."""
    return max(1, round(VALIDATION_SHARE * count))


def rows_by_label(labels: Sequence[int]) -> dict[int, list[int]]:
    """{label: positions}, labels in ascending order."""
    rows: dict[int, list[int]] = {label: [] for label in sorted(set(labels))}
    for row, label in enumerate(labels):
        rows[label].append(row)
    return rows


def _draw(rows: dict[int, list[int]], counts: dict[int, int], seed: int, stream: Stream) -> list[bool]:
    generator = torch.Generator().manual_seed(mix_seed(stream, seed))
    chosen = [False] * sum(map(len, rows.values()))
    for label, of_class in rows.items():
        order = torch.randperm(len(of_class), generator=generator).tolist()
        for position in order[: counts[label]]:
            chosen[of_class[position]] = True
    return chosen
