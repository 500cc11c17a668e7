"""The pictures of a landscape: profiles, planes, sharpness, eigenvalues (Fig. 2 f, Eq. 14). Each function writes a PNG.

A record is what was measured of one run: ``network``, ``method``, ``variant``, ``seed``, and

    line         steps, and loss at each
    plane        steps, and loss at each pair, rows along the first direction; of some runs
    sharpness    by weights ("fusion", "all"): radii, values, loss, norm
    eigenvalues  by weights: eigenvalues, products, asymmetry, ...

Losses are in nats; None stands for what is not finite.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from iemf.analysis.figure import legend_below, mean_and_band, panels, save
from iemf.analysis.style import COLOURS, NETWORK_LABELS, VARIANT_LABELS, VARIANT_LINES, WEIGHT_LABELS

ABOVE_CHANCE = 1.5  # times the loss of guessing: what lies higher is cut off
LEVELS = 12
STEP_LABEL = "step (filter norms)"

Record = Mapping


def of_cell(records: Sequence[Record], **cell) -> list[Record]:
    """Those whose fields are these."""
    return [record for record in records if all(record[name] == value for name, value in cell.items())]


def distinct(records: Sequence[Record], name: str) -> list:
    """Values of a field, in the order of their first appearance."""
    return list(dict.fromkeys(record[name] for record in records))


def numbers(values: Sequence) -> np.ndarray:
    """An array with NaN for None."""
    return np.array(values, dtype=float)


def lines(records: Sequence[Record], labels: Mapping[str, str], chance: float, path: Path, title: str) -> None:
    """The loss along a random direction: a row a network, a column a method, ± one deviation over seeds.

    Args:
        records: with ``line``.
        labels: of the methods.
        chance: loss of guessing, ln C.
        path: the PNG.
        title: names data set and settings.
    """
    networks, methods = distinct(records, "network"), distinct(records, "method")
    size = (max(5.5, 1 + 2.6 * len(methods)), 1.3 + 2.6 * len(networks))
    figure, axes = panels(len(networks), len(methods), size, sharex=True, sharey=True)
    for row, network in zip(axes, networks, strict=True):
        for axis, method in zip(row, methods, strict=True):
            for variant, label in VARIANT_LABELS.items():
                if found := of_cell(records, network=network, method=method, variant=variant):
                    style = {"color": COLOURS[variant], "ls": VARIANT_LINES[variant], "label": label}
                    curves = [numbers(record["line"]["loss"]) for record in found]
                    mean_and_band(axis, found[0]["line"]["steps"], curves, lw=1.4, **style)
            axis.axhline(chance, color="black", lw=0.9, ls=":", label=f"chance ({chance:.2f})")
            axis.set_title(f"{NETWORK_LABELS[network]}, {labels[method]}", fontsize=9)
            axis.grid(lw=0.3)
        row[0].set_ylabel("fused loss / nats")
    axes[0, 0].set_ylim(0, ABOVE_CHANCE * chance)
    for axis in axes[-1]:
        axis.set_xlabel(STEP_LABEL)
    legend_below(figure, axes, columns=4)
    save(figure, path, title)


def planes(records: Sequence[Record], chance: float, path: Path, title: str) -> None:
    """Networks side by side on the same directions: contours above, surfaces below, one scale of colours and heights.

    Args:
        records: with ``plane``, one a variant; None where it is not finite.
        chance: loss of guessing, ln C; what is above 1.5 times it is cut off.
        path: the PNG.
        title: names network, method, seed, data set and settings.
    """
    records = sorted(records, key=lambda record: list(VARIANT_LABELS).index(record["variant"]))
    ceiling = ABOVE_CHANCE * chance
    losses = [np.nan_to_num(numbers(record["plane"]["loss"]), nan=np.inf) for record in records]
    lowest = float(np.clip(min(loss.min() for loss in losses), 1e-4 * ceiling, 0.5 * ceiling))
    norm, levels = LogNorm(lowest, ceiling), np.geomspace(lowest, ceiling, LEVELS)
    figure = Figure(figsize=(1.2 + 3.1 * len(records), 6.6), layout="constrained")
    grid = figure.add_gridspec(2, len(records), height_ratios=[1, 1.1])
    for column, (record, loss) in enumerate(zip(records, losses, strict=True)):
        steps, cut = record["plane"]["steps"], loss.clip(lowest, ceiling)
        axis = figure.add_subplot(grid[0, column])
        _contours(axis, steps, cut, norm, levels)
        axis.set_title(f"{VARIANT_LABELS[record['variant']]}: {loss[len(steps) // 2, len(steps) // 2]:.3g} at ×",
                       fontsize=9)  # fmt: skip
        if column == 0:
            axis.set_ylabel(f"second {STEP_LABEL}", fontsize=8)
        _surface(figure.add_subplot(grid[1, column], projection="3d"), steps, cut, norm, (lowest, ceiling))
    scale = mpl.cm.ScalarMappable(norm, "viridis")
    bar = figure.colorbar(
        scale, ax=figure.axes, extend="max", shrink=0.8, aspect=35, label="fused loss / nats (log scale)"
    )
    ticks = [tick for tick in TICKS if lowest <= tick <= ceiling]
    bar.set_ticks([*ticks, chance], labels=[*(f"{tick:g}" for tick in ticks), f"chance {chance:.2g}"])
    bar.ax.minorticks_off()
    save(figure, path, title)


TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def _contours(axis: Axes, steps: Sequence[float], loss: np.ndarray, norm: LogNorm, levels: np.ndarray) -> None:
    axis.contourf(steps, steps, loss.T, levels=levels, norm=norm, cmap="viridis", extend="max")
    drawn = axis.contour(steps, steps, loss.T, levels=levels[1::2], colors="white", linewidths=0.6)
    axis.clabel(drawn, fontsize=6, fmt="%.2g")
    axis.plot(0, 0, "x", color="black", ms=5)
    axis.set_aspect("equal")
    axis.tick_params(labelsize=8)
    axis.set_xlabel(f"first {STEP_LABEL}", fontsize=8)


def _surface(axis: Axes, steps: Sequence[float], loss: np.ndarray, norm: LogNorm, limits: tuple[float, float]) -> None:
    first, second = np.meshgrid(steps, steps, indexing="ij")
    heights = np.log10(loss)  # a 3-D axis has no logarithmic scale of its own
    colours = mpl.colormaps["viridis"](norm(loss))
    axis.plot_surface(first, second, heights, facecolors=colours, rstride=1, cstride=1, lw=0.2, edgecolor="#00000030",
                      shade=False)  # fmt: skip
    axis.set_zlim(*np.log10(limits))
    ticks = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    axis.set_zticks(np.log10(ticks), [f"{tick:g}" for tick in ticks])
    axis.tick_params(labelsize=7, pad=0)
    axis.set_xlabel("first step", fontsize=8, labelpad=-4)
    axis.set_ylabel("second step", fontsize=8, labelpad=-4)
    axis.set_zlabel("loss / nats", fontsize=8, labelpad=-4)
    axis.view_init(elev=32, azim=-55)
    axis.set_box_aspect(None, zoom=1.1)


def sharpness_over_radius(records: Sequence[Record], labels: Mapping[str, str], path: Path, title: str) -> None:
    """S(ρ) of Eq. 14, a row a network and its weights, a column a method: mean ± one deviation, every seed as a dot.

    Args:
        records: with ``sharpness``.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
    """

    def draw(axis: Axes, found: Sequence[Record], weights: str, shift: float, style: dict) -> None:
        radii = np.array(found[0]["sharpness"][weights]["radii"]) * 1.07**shift
        _spread(axis, radii, [record["sharpness"][weights]["values"] for record in found], style)
        axis.set_xscale("log")
        axis.set_yscale("log", nonpositive="clip")
        radii = found[0]["sharpness"][weights]["radii"]
        axis.set_xticks(radii, [f"{radius:g}" for radius in radii])
        axis.minorticks_off()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")

    _by_weights(records, labels, draw, "radius ρ of the ball", "sharpness S(ρ) / nats", path, title)


def top_eigenvalues(records: Sequence[Record], labels: Mapping[str, str], path: Path, title: str) -> None:
    """The largest eigenvalues of the Hessian, in panels as those of the sharpness; a panel says how they were found.

    Args:
        records: with ``eigenvalues``.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
    """

    def draw(axis: Axes, found: Sequence[Record], weights: str, shift: float, style: dict) -> None:
        spectra = [record["eigenvalues"][weights] for record in found]
        ranks = np.arange(1, 1 + len(spectra[0]["eigenvalues"]))
        _spread(axis, ranks + 0.2 * shift, [spectrum["eigenvalues"] for spectrum in spectra], style)
        axis.set_xticks(ranks)
        axis.set_xlim(0.5, len(ranks) + 0.5)
        axis.text(
            0.97, 0.96, f"by {spectra[0]['products']}", transform=axis.transAxes, ha="right", va="top", fontsize=7
        )
        axis.set_ylim(bottom=0)

    _by_weights(records, labels, draw, "rank of the eigenvalue", "eigenvalue of the Hessian", path, title)


def _by_weights(records, labels, draw, x_label: str, y_label: str, path: Path, title: str) -> None:
    """A row a network and its weights, a column a method; the panels of a row share their axis."""
    networks, methods = distinct(records, "network"), distinct(records, "method")
    rows = [(network, weights) for weights in WEIGHT_LABELS for network in networks]
    size = (max(5.5, 1 + 2.7 * len(methods)), 1.3 + 2.4 * len(rows))
    figure, axes = panels(len(rows), len(methods), size, sharey="row")
    for row, (network, weights) in zip(axes, rows, strict=True):
        for axis, method in zip(row, methods, strict=True):
            for shift, (variant, label) in enumerate(VARIANT_LABELS.items(), start=-1):
                if found := of_cell(records, network=network, method=method, variant=variant):
                    draw(axis, found, weights, shift, {"color": COLOURS[variant], "label": label})
            axis.set_title(f"{NETWORK_LABELS[network]}, {labels[method]}: {WEIGHT_LABELS[weights]}", fontsize=9)
            axis.set_xlabel(x_label, fontsize=8)
            axis.tick_params(labelsize=8)
            axis.grid(lw=0.3)
        row[0].set_ylabel(y_label, fontsize=8)
    legend_below(figure, axes, columns=4)
    save(figure, path, title)


def _spread(axis: Axes, x: np.ndarray, curves: Sequence[Sequence[float]], style: dict) -> None:
    """Mean and one deviation at each x, and every curve's own values as dots beside them."""
    stack = numbers(curves)
    deviation = stack.std(0, ddof=1) if len(stack) > 1 else np.zeros(len(x))
    axis.errorbar(x, stack.mean(0), deviation, fmt="_", ms=8, mew=2, capsize=2, lw=1, **style)
    for values in stack:
        axis.plot(x, values, ".", ms=3.5, color=style["color"], alpha=0.7)
