"""The pictures of a comparison: accuracies, ξ over epochs, firing rates. Every function writes one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from iemf.analysis.figure import legend_below, mean_and_band, panels, save
from iemf.analysis.style import (
    ALONE_LABELS,
    ALONE_LINES,
    COLOURS,
    NETWORK_LABELS,
    NEURON_LABELS,
    PLACE_LABELS,
    VARIANT_LABELS,
)

SPAN = 10  # percentage points


def accuracies(
    cells: Mapping[tuple[str, str, str], Sequence[float]],
    labels: Mapping[str, str],
    path: Path,
    title: str,
    alone: Mapping[tuple[str, str], Sequence[float]] | None = None,
) -> None:
    """Test accuracy per method, one panel a network, one marker a variant: mean, ± one deviation, every seed as a dot.

    Markers, not bars: the axis need not start at 0 for them. All panels have one axis, of SPAN points at least, so that
    networks compare and small differences look small.

    Args:
        cells: {(network, method, variant): test accuracies in percent, one a seed}.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
        alone: {(network, modality): those of networks of one modality}, drawn as lines, ± one deviation as a band.
    """
    networks, methods, variants = (list(dict.fromkeys(key[i] for key in cells)) for i in range(3))
    figure, axes = panels(1, len(networks), (1.6 + 1.15 * len(methods) * len(networks), 3.9), sharey=True)
    gap = 0.7 / len(variants)
    for axis, network in zip(axes[0], networks, strict=True):
        for number, variant in enumerate(variants):
            rows = [(i, cells[network, m, variant]) for i, m in enumerate(methods) if (network, m, variant) in cells]
            x = np.array([i for i, _ in rows]) + (number - (len(variants) - 1) / 2) * gap
            spread = [np.std(v, ddof=1) if len(v) > 1 else np.nan for _, v in rows]
            axis.errorbar(x, [np.mean(v) for _, v in rows], spread, fmt="_", ms=9, mew=2.5, capsize=3, lw=1.2,
                          label=VARIANT_LABELS[variant], color=COLOURS[variant])  # fmt: skip
            for place, (_, values) in zip(x, rows, strict=True):
                axis.plot([place + gap / 3] * len(values), values, ".", color=COLOURS[variant], ms=5)
        for (of_network, modality), values in (alone or {}).items():
            if of_network == network:
                mean, colour = np.mean(values), COLOURS[modality]
                axis.axhline(mean, color=colour, ls=ALONE_LINES[modality], lw=1.4, label=ALONE_LABELS[modality])
                if len(values) > 1:
                    spread = np.std(values, ddof=1)
                    axis.axhspan(mean - spread, mean + spread, color=colour, alpha=0.12, lw=0)
        axis.set_xticks(range(len(methods)), [labels[m] for m in methods])
        axis.set_xlim(-0.5, len(methods) - 0.5)
        for boundary in range(1, len(methods)):
            axis.axvline(boundary - 0.5, color="grey", lw=0.3)
        axis.set_title(f"{NETWORK_LABELS[network]} ({NEURON_LABELS[network]})", fontsize=10)
        axis.grid(axis="y", lw=0.4)
    low, high = axes[0, 0].get_ylim()
    if high - low < SPAN:
        axes[0, 0].set_ylim((low + high - SPAN) / 2, (low + high + SPAN) / 2)
    axes[0, 0].set_ylabel("test accuracy (%)")
    legend_below(figure, axes)
    save(figure, path, title)


def coefficient_over_epochs(
    histories: Mapping[tuple[str, str], Mapping[str, list[list[dict]]]],
    tests: Mapping[tuple[str, str], Sequence[float]],
    labels: Mapping[str, str],
    path: Path,
) -> None:
    """Validation accuracy with and without IEMF, and below it ξ, over epochs (the kind of picture of Fig. 2e).

    ξ of training and of validation batches, and, behind the last epoch, of the batches of the test split.

    Args:
        histories: {(network, method): {variant: [one run's epoch records, ...]}}; "iemf" must be there.
        tests: {(network, method): ξ of the test batches of all seeds}.
        labels: of the methods.
        path: the PNG.
    """
    networks, methods = (list(dict.fromkeys(key[i] for key in histories)) for i in range(2))
    size = (max(5.6, 1 + 2.5 * len(methods)), 1.2 + 3.1 * len(networks))
    figure, axes = panels(
        2 * len(networks), len(methods), size, height_ratios=[2, 1] * len(networks), sharex=True, sharey="row"
    )
    for row, network in enumerate(networks):
        for column, method in enumerate(methods):
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            runs = histories.get((network, method), {})
            for variant, records in runs.items():
                over_epochs(above, records, "val_accuracy_fused", color=COLOURS[variant], label=VARIANT_LABELS[variant])
            if "iemf" in runs:
                over_epochs(below, runs["iemf"], "xi", color="black", label="training")
                if all(record.get("xi_val") is not None for run in runs["iemf"] for record in run):
                    over_epochs(below, runs["iemf"], "xi_val", color=COLOURS["fusion"], ls="--", label="validation")
            if (of_test := tests.get((network, method))) is not None:
                last = 1 + max(len(records) for records in runs["iemf"])
                below.errorbar(last, np.mean(of_test), np.std(of_test), fmt="o", ms=3, capsize=2, lw=1,
                               color=COLOURS["audio"], label="test batches ± 1 deviation")  # fmt: skip
            below.axhline(1, color="black", lw=0.6, ls=":")
            above.set_title(f"{NETWORK_LABELS[network]}, {labels[method]}", fontsize=9)
            for axis in (above, below):
                axis.grid(lw=0.3)
        axes[2 * row, 0].set_ylabel("validation\naccuracy (%)")
        axes[2 * row + 1, 0].set_ylabel("ξ\n(batch mean)")
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
        axis.set_xticks(*_epochs_and_test(histories, bool(tests)))
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8)
    handles, names = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles, [f"ξ, {name}" for name in names], loc="outside lower center", ncols=3, fontsize=8)
    save(figure, path)


def _epochs_and_test(histories: Mapping, tested: bool) -> tuple[list[int], list[str]]:
    """Ticks and their labels: epochs, and the place behind the last one, which is none."""
    last = max(len(records) for runs in histories.values() for of in runs.values() for records in of)
    ticks = [int(tick) for tick in MaxNLocator(integer=True).tick_values(1, last) if 1 <= tick <= last]
    if tested and len(ticks) > 1 and ticks[-1] == last and ticks[1] - ticks[0] > 1:
        ticks.pop()  # room for the word
    return [*ticks, last + 1] if tested else ticks, [*map(str, ticks), *(["test"] if tested else [])]


def over_epochs(axis: Axes, runs: Sequence[Sequence[Mapping]], quantity: str, **style) -> None:
    """One quantity of the epoch records of runs, of which some may have ended earlier."""
    curves = [[record[quantity] for record in run] for run in runs]
    mean_and_band(axis, range(1, max(map(len, curves)) + 1), curves, alpha=0.15, lw=1.4, **style)


def firing_rates(layers: Sequence[Mapping], path: Path, title: str) -> None:
    """Rate and silent share per layer and modality.

    Args:
        layers: records with modality, layer, rate (spikes per neuron and step), silent (share of neurons), in order;
            where several seeds are given, records of one layer are averaged.
        path: the PNG.
        title: names the run.
    """
    modalities = list(dict.fromkeys(layer["modality"] for layer in layers))
    figure, grid = panels(2, 1, (8.5, 5), sharex=True)
    axes = grid[:, 0]
    for modality in modalities:
        of_modality = [layer for layer in layers if layer["modality"] == modality]
        names = list(dict.fromkeys(layer["layer"] for layer in of_modality))
        for axis, quantity in zip(axes, ("rate", "silent"), strict=True):
            means = [100 * np.mean([x[quantity] for x in of_modality if x["layer"] == name]) for name in names]
            axis.plot(names, means, "o-", ms=4, lw=1.2, color=COLOURS[modality], label=PLACE_LABELS[modality])
    axes[0].set_ylabel("firing rate\n(% of neuron-steps)")
    axes[1].set_ylabel("silent neurons (%)")
    for axis in axes:
        axis.set_ylim(0, max(1.0, 1.08 * axis.get_ylim()[1]))
        axis.grid(lw=0.3)
    axes[0].legend(fontsize=8)
    axes[1].tick_params(axis="x", rotation=60, labelsize=7)
    axes[1].set_xlabel("layer, from input to output")
    save(figure, path, title)
