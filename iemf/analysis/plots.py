"""The pictures of a comparison: accuracies, ξ over epochs, firing rates. Every function writes one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

# Okabe & Ito's palette: told apart by everyone, and in grey.
COLOURS = {"vanilla": "#999999", "joint": "#56B4E9", "iemf": "#D55E00", "audio": "#0072B2", "visual": "#009E73"}
LABELS = {"vanilla": "vanilla", "joint": "joint learning (ξ = 1)", "iemf": "IEMF"}
METHOD_LABELS = {"concat": "Concat", "mslr": "MSLR", "ogm-ge": "OGM-GE", "lfm": "LFM"}


def save(figure: plt.Figure, path: Path) -> None:
    """Write ``figure`` to ``path`` whole or not at all, and close it."""
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)
    temporary.replace(path)


def accuracies(cells: Mapping[tuple[str, str, str], Sequence[float]], path: Path, title: str) -> None:
    """Test accuracy per method, one panel a network, one marker a variant: mean, ± one deviation, every seed as a dot.

    Markers, not bars: the axis need not start at 0 for them.

    Args:
        cells: {(network, method, variant): test accuracies in percent, one a seed}.
        path: the PNG.
        title: names data set and settings.
    """
    networks, methods, variants = (list(dict.fromkeys(key[i] for key in cells)) for i in range(3))
    figure, axes = plt.subplots(
        1, len(networks), figsize=(1.6 + 1.15 * len(methods) * len(networks), 3.9),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    gap = 0.7 / len(variants)
    for axis, network in zip(axes[0], networks, strict=True):
        for number, variant in enumerate(variants):
            rows = [(i, cells[network, m, variant]) for i, m in enumerate(methods) if (network, m, variant) in cells]
            x = np.array([i for i, _ in rows]) + (number - (len(variants) - 1) / 2) * gap
            spread = [np.std(v, ddof=1) if len(v) > 1 else np.nan for _, v in rows]
            axis.errorbar(x, [np.mean(v) for _, v in rows], spread, fmt="_", ms=9, mew=2.5, capsize=3, lw=1.2,
                          label=LABELS[variant], color=COLOURS[variant])  # fmt: skip
            for place, (_, values) in zip(x, rows, strict=True):
                axis.plot([place + gap / 3] * len(values), values, ".", color=COLOURS[variant], ms=5)
        axis.set_xticks(range(len(methods)), [METHOD_LABELS[m] for m in methods])
        axis.set_xlim(-0.5, len(methods) - 0.5)
        for boundary in range(1, len(methods)):
            axis.axvline(boundary - 0.5, color="grey", lw=0.3)
        axis.set_title({"ann": "ANN (ReLU)", "snn": "SNN (LIF)"}[network], fontsize=10)
        axis.grid(axis="y", lw=0.4)
    axes[0, 0].set_ylabel(
        "test accuracy (%)\n(each panel has its own axis)" if len(networks) > 1 else "test accuracy (%)"
    )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(variants), fontsize=8)
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def mean_and_band(axis: plt.Axes, curves: Sequence[Sequence[float]], **style) -> None:
    """The mean of equally long curves over epochs, with ± one deviation where there are several."""
    stack = np.array(curves, dtype=float)
    epochs = np.arange(1, stack.shape[1] + 1)
    axis.plot(epochs, stack.mean(0), **style)
    if len(stack) > 1:
        deviation = stack.std(0, ddof=1)
        axis.fill_between(epochs, stack.mean(0) - deviation, stack.mean(0) + deviation, alpha=0.15, lw=0,
                          color=style.get("color"))  # fmt: skip


def coefficient_over_epochs(histories: Mapping[tuple[str, str], Mapping[str, list[list[dict]]]], path: Path) -> None:
    """Validation accuracy with and without IEMF, and below it ξ, over epochs (the kind of picture of Fig. 2e).

    Args:
        histories: {(network, method): {variant: [one run's epoch records, ...]}}; "iemf" must be there.
        path: the PNG.
    """
    networks, methods = (list(dict.fromkeys(key[i] for key in histories)) for i in range(2))
    figure, axes = plt.subplots(
        2 * len(networks), len(methods), figsize=(1 + 2.5 * len(methods), 0.9 + 3.1 * len(networks)),
        height_ratios=[2, 1] * len(networks), sharex=True, sharey="row", squeeze=False, layout="constrained",
    )  # fmt: skip
    for row, network in enumerate(networks):
        for column, method in enumerate(methods):
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            runs = histories.get((network, method), {})
            for variant, records in runs.items():
                curves = [[record["val_accuracy_fused"] for record in run] for run in records]
                mean_and_band(above, curves, color=COLOURS[variant], lw=1.4, label=LABELS[variant])
            if "iemf" in runs:
                mean_and_band(below, [[r["xi"] for r in run] for run in runs["iemf"]], color="black", lw=1.4)
            below.axhline(1, color="black", lw=0.6, ls=":")
            above.set_title(f"{network.upper()}, {METHOD_LABELS[method]}", fontsize=9)
            for axis in (above, below):
                axis.grid(lw=0.3)
        axes[2 * row, 0].set_ylabel("validation\naccuracy (%)")
        axes[2 * row + 1, 0].set_ylabel("ξ\n(batch mean)")
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8)
    save(figure, path)


def firing_rates(layers: Sequence[Mapping], path: Path, title: str) -> None:
    """Rate and silent share per layer and modality.

    Args:
        layers: records with modality, layer, rate (spikes per neuron and step), silent (share of neurons), in order;
            where several seeds are given, records of one layer are averaged.
        path: the PNG.
        title: names the run.
    """
    modalities = list(dict.fromkeys(layer["modality"] for layer in layers))
    figure, axes = plt.subplots(2, 1, figsize=(8.5, 5), sharex=True, layout="constrained")
    for modality in modalities:
        of_modality = [layer for layer in layers if layer["modality"] == modality]
        names = list(dict.fromkeys(layer["layer"] for layer in of_modality))
        for axis, quantity in zip(axes, ("rate", "silent"), strict=True):
            means = [100 * np.mean([x[quantity] for x in of_modality if x["layer"] == name]) for name in names]
            axis.plot(names, means, "o-", ms=4, lw=1.2, color=COLOURS.get(modality), label=modality)
    axes[0].set_ylabel("firing rate\n(% of neuron-steps)")
    axes[1].set_ylabel("silent neurons (%)")
    for axis in axes:
        axis.set_ylim(0, max(1.0, 1.08 * axis.get_ylim()[1]))
        axis.grid(lw=0.3)
    axes[0].legend(fontsize=8)
    axes[1].tick_params(axis="x", rotation=60, labelsize=7)
    axes[1].set_xlabel("layer, from input to output")
    figure.suptitle(title, fontsize=10)
    save(figure, path)
