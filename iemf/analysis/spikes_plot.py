"""The picture of spiking networks over the number of time steps T, beside the artificial one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from iemf.analysis.figure import legend_below, panels, save
from iemf.analysis.style import COLOURS, VARIANT_LABELS, VARIANT_LINES

PANELS = {
    "test_accuracy": ("test accuracy / %", 1.0),
    "firing_rate": ("firing rate / % of neuron-steps", 100.0),
    "snn_microjoule": ("estimated energy a sample / µJ", 1.0),
}
OF_ANN = {"test_accuracy": "test_accuracy", "snn_microjoule": "ann_microjoule"}


def over_time_steps(rows: Sequence[Mapping], labels: Mapping[str, str], path: Path, title: str) -> None:
    """A row a method; accuracy, firing rate and energy over T, ± one deviation over seeds; dotted: the ANN.

    Args:
        rows: records with network, method, variant, seed, time_steps, test_accuracy (percent); those of an SNN also
            with firing_rate (of 1), snn_microjoule and ann_microjoule.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure, axes = panels(len(methods), len(PANELS), (9.6, 0.9 + 2.7 * len(methods)), sharex=True)
    steps = sorted({row["time_steps"] for row in rows if row["network"] == "snn"})
    for line, method in zip(axes, methods, strict=True):
        for axis, (quantity, (unit, scale)) in zip(line, PANELS.items(), strict=True):
            for variant in VARIANT_LABELS:
                of = [row for row in rows if row["method"] == method and row["variant"] == variant]
                _curve(axis, of, quantity, scale, variant)
            axis.set_xscale("log", base=2)
            axis.set_xticks(steps, [str(t) for t in steps])
            axis.minorticks_off()
            axis.set_xlabel("time steps T")
            axis.set_ylabel(unit, fontsize=9)
            axis.grid(lw=0.3)
            axis.tick_params(labelsize=8, labelbottom=True)
        line[0].set_title(labels[method], fontsize=10, loc="left")
        for axis in line[1:]:
            axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
    legend_below(figure, axes, columns=6)
    save(figure, path, title)


def _curve(axis: Axes, rows: Sequence[Mapping], quantity: str, scale: float, variant: str) -> None:
    """Of one variant: points over T for the SNN, a line across for the ANN."""
    colour, label = COLOURS[variant], VARIANT_LABELS[variant]
    by_steps: dict[int, list[float]] = {}
    for row in rows:
        if row["network"] == "snn":
            by_steps.setdefault(row["time_steps"], []).append(scale * row[quantity])
    if by_steps:
        steps = sorted(by_steps)
        mean = np.array([np.mean(by_steps[t]) for t in steps])
        spread = np.array([np.std(by_steps[t], ddof=1) if len(by_steps[t]) > 1 else 0 for t in steps])
        style = {"color": colour, "ls": VARIANT_LINES[variant], "marker": "o", "ms": 4, "label": f"SNN, {label}"}
        axis.errorbar(steps, mean, spread if spread.any() else None, capsize=2.5, lw=1.4, **style)
    source = "ann" if quantity == "test_accuracy" else "snn"  # an SNN's record has the ANN's energy
    known = [row[OF_ANN[quantity]] for row in rows if quantity in OF_ANN and row["network"] == source]
    if known:
        axis.axhline(np.mean(known), color=colour, lw=1.2, ls=":", label=f"ANN, {label}")
        if len(known) > 1 and np.std(known):
            low, high = np.mean(known) - np.std(known, ddof=1), np.mean(known) + np.std(known, ddof=1)
            axis.axhspan(low, high, color=colour, alpha=0.1, lw=0)
