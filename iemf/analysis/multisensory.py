"""Multisensory gain, and whether it is inversely effective, in the terms of Meredith & Stein (1986).

Of accuracies in percent, under one condition of noise:

    gain = fused - better modality alone                       points
    enhancement = 100 · gain / better modality alone           percent
    strength = mean of the modalities alone                    percent; S_uni of Eq. 8, with accuracies
    inverse effectiveness: the weaker, the larger the enhancement
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.stats import spearmanr

Key = tuple[str, str, str, str]  # method, network, noisy modality, variant


class Gain(NamedTuple):
    """Of one condition: strength (percent), gain (points), enhancement (percent)."""

    strength: float
    absolute: float
    relative: float


def gain(fused: float, unimodal: Sequence[float]) -> Gain:
    """From accuracies in percent.

    Raises:
        ValueError: no modality, or the better one is never right.

    >>> gain(60, [40, 50])
    Gain(strength=45.0, absolute=10, relative=20.0)
    """
    if not unimodal or (best := max(unimodal)) <= 0:
        raise ValueError(f"enhancement needs a modality whose accuracy is above 0, not {list(unimodal)}")
    return Gain(statistics.fmean(unimodal), fused - best, 100 * (fused - best) / best)


def inverse_effectiveness(gains: Sequence[Gain]) -> float | None:
    """Spearman's rank correlation of strength and enhancement over conditions: -1, the weaker the more; None where
    one of them does not vary, or there are fewer than three.

    >>> inverse_effectiveness([Gain(20, 10, 50), Gain(40, 10, 25), Gain(80, 8, 10)])
    -1.0
    """
    strengths, enhancements = [g.strength for g in gains], [g.relative for g in gains]
    if len(gains) < 3 or min(len(set(strengths)), len(set(enhancements))) < 2:
        return None
    return float(spearmanr(strengths, enhancements).statistic)


def gains_of(rows: Sequence[Mapping]) -> dict[Key, dict[int, list[Gain]]]:
    """{key: {seed: a Gain a ratio}} from records of robustness, with test_accuracy, _audio and _visual in percent."""
    found: dict[Key, dict[int, list[Gain]]] = {}
    for row in rows:
        key = row["method"], row["network"], row["modality"], row["variant"]
        of = found.setdefault(key, {}).setdefault(row["seed"], [])
        of.append(gain(row["test_accuracy"], [row["test_accuracy_audio"], row["test_accuracy_visual"]]))
    return found
