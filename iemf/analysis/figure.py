"""Figures as objects: drawn and written without pyplot, so a notebook's backend and open figures stay as they are."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iemf.files import whole_file


def panels(rows: int, columns: int, size: tuple[float, float], **options) -> tuple[Figure, np.ndarray]:
    """A figure of ``size`` (width, height in inches) and its axes [rows, columns].

    Args:
        options: of :meth:`matplotlib.figure.Figure.subplots`.
    """
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def legend_below(figure: Figure, axes: np.ndarray, columns: int | None = None) -> None:
    """One legend for all axes below them, each label once; as many columns as labels by default."""
    handles = dict(pair[::-1] for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels(), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns or len(handles), fontsize=8)


def save(figure: Figure, path: Path, title: str | None = None) -> None:
    """Write ``figure`` as PNG to ``path``, whole or not at all, under a title."""
    if title is not None:
        figure.suptitle(title, fontsize=10)
    with whole_file(path, "wb") as file:
        figure.savefig(file, dpi=150, format="png")


def mean_and_band(
    axis: Axes, x: Sequence[float], curves: Iterable[Sequence[float]], alpha: float = 0.2, **style
) -> None:
    """The mean of curves over ``x``, with ± one deviation where there are several; ``alpha`` of that band.

    A curve shorter than ``x`` counts as far as it goes, and None or NaN not at all.
    """
    curves = [np.asarray(curve, dtype=float) for curve in curves]
    stack = np.array([np.pad(curve, (0, len(x) - len(curve)), constant_values=np.nan) for curve in curves])
    there = (~np.isnan(stack)).sum(0)
    mean = np.where(there > 0, np.nansum(stack, 0) / np.maximum(there, 1), np.nan)
    axis.plot(x, mean, **style)
    if len(stack) > 1:
        squares = np.nansum((stack - mean) ** 2, 0)
        deviation = np.sqrt(squares / np.maximum(there - 1, 1))
        axis.fill_between(x, mean - deviation, mean + deviation, alpha=alpha, lw=0, color=style["color"])
