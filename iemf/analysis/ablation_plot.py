"""The picture of an ablation of ξ (the kind of Fig. 2 c1, c2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from iemf.analysis.figure import legend_below, panels, save
from iemf.analysis.style import COLOURS, NETWORK_LABELS, SHORT_VARIANT_LABELS, VARIANT_LABELS

SPAN = 4  # percentage points that an axis has at least
BASES = ("vanilla", "joint")


def settings_of_xi(
    rows: Sequence[Mapping],
    paper: Mapping[tuple[str, str], Mapping],
    labels: Mapping[str, str],
    path: Path,
    title: str,
) -> None:
    """A line of panels a network and method: accuracy over γ, the paper's, and the other settings, one below the other.

    Args:
        rows: a record a run: network, method, variant, test_accuracy in percent, setting (as the picture calls it),
            gamma, and group: "variant" for vanilla and joint learning, "gamma" for IEMF where γ alone varies.
        paper: {(network, method): {"vanilla": percent or None, "joint": likewise, "gamma": {γ: percent}}}.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
    """
    pairs = list(dict.fromkeys((row["network"], row["method"]) for row in rows))
    others = max(len(_others([row for row in rows if (row["network"], row["method"]) == pair])) for pair in pairs)
    height = max(2.6, 0.9 + 0.24 * others)
    figure, axes = panels(len(pairs), 3, (11, 1.0 + height * len(pairs)), width_ratios=[1.1, 0.8, 1.2])
    for line, pair in zip(axes, pairs, strict=True):
        of = [row for row in rows if (row["network"], row["method"]) == pair]
        _over_gamma(line[0], of)
        _papers(line[1], paper.get(pair, {}))
        _one_below_the_other(line[2], _others(of), _bases(of), {row["setting"]: row["variant"] for row in of})
        line[0].set_title(f"{NETWORK_LABELS[pair[0]]}, {labels[pair[1]]}", fontsize=10, loc="left")
        line[1].set_title("the paper: Kinetics-Sounds", fontsize=9, loc="left")
        line[2].set_title("other settings", fontsize=9, loc="left")
    legend_below(figure, axes)
    save(figure, path, title)


def _values(rows: Sequence[Mapping]) -> dict[str, list[float]]:
    """{setting: accuracies}, in the order of the records."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["setting"], []).append(row["test_accuracy"])
    return found


def _bases(rows: Sequence[Mapping]) -> dict[str, list[float]]:
    return _values([row for row in rows if row["group"] == "variant"])


def _others(rows: Sequence[Mapping]) -> dict[str, list[float]]:
    """All but vanilla, joint learning and the other γ."""
    return _values([row for row in rows if row["group"] != "variant"
                    and not (row["group"] == "gamma" and row["gamma"] != 1)])  # fmt: skip


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _band(axis: Axes, variant: str, values: Sequence[float], upright: bool = False) -> None:
    """Mean and ± one deviation of vanilla or joint learning, across the panel."""
    line, span = (axis.axvline, axis.axvspan) if upright else (axis.axhline, axis.axhspan)
    mean, deviation = np.mean(values), _deviation(values)
    line(mean, color=COLOURS[variant], lw=1.4, label=VARIANT_LABELS[variant])
    if deviation > 0:
        span(mean - deviation, mean + deviation, color=COLOURS[variant], alpha=0.2, lw=0)


def _of_gamma(axis: Axes, gammas: Sequence[float]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(gammas, [f"{gamma:g}" for gamma in gammas])
    axis.minorticks_off()
    axis.set_xlim(min(gammas) / 1.5, max(gammas) * 1.5)
    axis.set_xlabel("γ", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(lw=0.3)


def _at_least_span(low: float, high: float) -> tuple[float, float]:
    """An axis that does not make small differences look large."""
    missing = max(0.0, SPAN - (high - low)) / 2
    return low - missing, high + missing


def _over_gamma(axis: Axes, rows: Sequence[Mapping]) -> None:
    for variant, values in _bases(rows).items():
        _band(axis, variant, values)
    by_gamma: dict[float, list[float]] = {}
    for row in rows:
        if row["group"] == "gamma":
            by_gamma.setdefault(row["gamma"], []).append(row["test_accuracy"])
    if by_gamma:
        gammas = sorted(by_gamma)
        spread = [_deviation(by_gamma[gamma]) for gamma in gammas]
        axis.errorbar(gammas, [np.mean(by_gamma[gamma]) for gamma in gammas], spread, fmt="o-", ms=4, lw=1.4, capsize=3,
                      color=COLOURS["iemf"], label=SHORT_VARIANT_LABELS["iemf"])  # fmt: skip
        for gamma in gammas:
            axis.plot([gamma * 1.08] * len(by_gamma[gamma]), by_gamma[gamma], ".", ms=4, color=COLOURS["iemf"])
        _of_gamma(axis, gammas)
    axis.set_ylim(_at_least_span(*axis.get_ylim()))
    axis.set_ylabel("test accuracy / %", fontsize=9)


def _papers(axis: Axes, paper: Mapping) -> None:
    """One value each, without a deviation."""
    if not paper.get("gamma"):
        axis.text(0.5, 0.5, "none published", ha="center", va="center", fontsize=9, transform=axis.transAxes)
        axis.set_axis_off()
        return
    for variant in BASES:
        if paper.get(variant) is not None:
            axis.axhline(paper[variant], color=COLOURS[variant], lw=1.4)
    axis.plot(*zip(*sorted(paper["gamma"].items()), strict=True), "o-", ms=4, lw=1.4, color=COLOURS["iemf"])
    _of_gamma(axis, sorted(paper["gamma"]))
    axis.set_ylim(_at_least_span(*axis.get_ylim()))


def _one_below_the_other(
    axis: Axes, settings: Mapping[str, Sequence[float]], bases: Mapping, variants: Mapping[str, str]
) -> None:
    for variant, values in bases.items():
        _band(axis, variant, values, upright=True)
    for place, (setting, values) in enumerate(settings.items()):
        style = {"color": COLOURS[variants[setting]]}
        axis.errorbar(
            np.mean(values), place, xerr=_deviation(values), fmt="|", ms=9, mew=2.5, capsize=3, lw=1.2, **style
        )
        axis.plot(values, [place + 0.25] * len(values), ".", ms=4, **style)
    axis.set_yticks(range(len(settings)), list(settings))
    axis.set_ylim(len(settings) - 0.5, -0.5)
    axis.set_xlim(_at_least_span(*axis.get_xlim()))
    axis.set_xlabel("test accuracy / %", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(axis="x", lw=0.3)
