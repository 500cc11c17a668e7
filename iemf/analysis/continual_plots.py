"""The two pictures of class-incremental learning (Fig. 3 of He et al. 2025): accuracy by task, and what is lost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from iemf.analysis.figure import legend_below, mean_and_band, panels, save
from iemf.analysis.style import COLOURS, NETWORK_LABELS, VARIANT_LABELS, VARIANT_LINES

Cell = tuple[str, str, str]  # network, method, variant


def average_accuracy(
    curves: Mapping[Cell, Sequence[Sequence[float]]], labels: Mapping[str, str], path: Path, title: str
) -> None:
    """AA_k over tasks: a panel a method and network, a curve a variant, bands of ± one deviation over seeds.

    Args:
        curves: {(network, method, variant): one list of AA_k in percent a seed}.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
    """
    networks, methods = (list(dict.fromkeys(cell[i] for cell in curves)) for i in (0, 1))
    size = (0.6 + 2.3 * len(methods), 0.9 + 2.2 * len(networks))
    figure, axes = panels(len(networks), len(methods), size, sharex=True, sharey=True)
    for row, network in zip(axes, networks, strict=True):
        for axis, method in zip(row, methods, strict=True):
            for variant, label in VARIANT_LABELS.items():
                if (by_seed := curves.get((network, method, variant))) is None:
                    continue
                tasks = range(1, len(by_seed[0]) + 1)
                mean_and_band(
                    axis, tasks, by_seed, ls=VARIANT_LINES[variant], marker=".", color=COLOURS[variant], label=label
                )
            axis.set_title(f"{labels[method]}, {NETWORK_LABELS[network]}", fontsize=9)
            axis.set_xticks(tasks)
            axis.grid(lw=0.4)
        row[0].set_ylabel("accuracy on all tasks so far / %", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("tasks learnt", fontsize=8)
    legend_below(figure, axes)
    save(figure, path, title)


def accuracy_and_forgetting(
    cells: Mapping[Cell, Mapping[str, Sequence[float]]], labels: Mapping[str, str], path: Path, title: str
) -> None:
    """AIA and AFR: a panel each and a network, bars a variant grouped by method, every seed as a dot.

    Args:
        cells: {(network, method, variant): {"mean_accuracy" | "average_forgetting": percent, one a seed}}.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
    """
    networks, methods, variants = (list(dict.fromkeys(cell[i] for cell in cells)) for i in range(3))
    names = {"mean_accuracy": "mean accuracy, AIA / %", "average_forgetting": "forgetting, AFR / %"}
    figure, axes = panels(len(networks), 2, (9, 0.8 + 2.7 * len(networks)))
    width = 0.8 / len(variants)
    for row, network in zip(axes, networks, strict=True):
        for axis, (name, label) in zip(row, names.items(), strict=True):
            for number, variant in enumerate(variants):
                x = np.arange(len(methods)) + (number - (len(variants) - 1) / 2) * width
                values = [cells[network, method, variant][name] for method in methods]
                deviation = [np.std(v, ddof=1) if len(v) > 1 else np.nan for v in values]
                axis.bar(x, [np.mean(v) for v in values], 0.9 * width, yerr=deviation, capsize=2, error_kw={"lw": 1},
                         color=COLOURS[variant], label=VARIANT_LABELS[variant])  # fmt: skip
                for place, of_seeds in zip(x, values, strict=True):
                    axis.plot([place] * len(of_seeds), of_seeds, ".", color="black", ms=3)
            axis.axhline(0, color="black", lw=0.6)
            axis.set_xticks(range(len(methods)), [labels[method] for method in methods])
            axis.set_ylabel(label, fontsize=9)
            axis.set_title(NETWORK_LABELS[network], fontsize=9)
            axis.grid(axis="y", lw=0.4)
    legend_below(figure, axes)
    save(figure, path, f"{title}, ± 1 deviation")
