"""The pictures of question answering: three radar charts (He et al. 2025, Fig. 4), and scenes with their questions."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iemf.analysis.figure import legend_below, panels, save
from iemf.analysis.style import BALANCED_MODEL_LINES, COLOURS, MODEL_LINES, NETWORK_LABELS, VARIANT_LABELS

LINE = 0.14  # inches, of small print
WIDTH = 44  # characters of a question in a line
STEP = 10  # percent between two rings
Cell = tuple[str, str, str]  # network, model, variant


class Chart(NamedTuple):
    """A title, and {column: label} of its axes."""

    title: str
    axes: dict[str, str]


class Example(NamedTuple):
    """A scene's image [H, W], what is heard at each step ("" for nothing), and its questions."""

    image: np.ndarray
    heard: Sequence[str]
    questions: Sequence["Asked"]


class Asked(NamedTuple):
    """A question, its answer, and what each model answers."""

    question: str
    answer: str
    given: Mapping[str, str]


def radar(
    cells: Mapping[Cell, Mapping[str, Sequence[float]]],
    labels: Mapping[str, str],
    charts: Sequence[Chart],
    path: Path,
    title: str,
) -> None:
    """A polar chart for sound, pictures and both together: an axis a question type, a curve a model and variant.

    Args:
        cells: {(network, model, variant): {column: percent, one a seed}}; means are drawn.
        labels: of the models.
        charts: left to right.
        path: the PNG.
        title: names data set and settings.
    """
    networks, models = (list(dict.fromkeys(cell[i] for cell in cells)) for i in (0, 1))
    others = [model for model in models if model not in MODEL_LINES]
    lines = MODEL_LINES | dict(zip(others, itertools.cycle(BALANCED_MODEL_LINES)))
    size = (1.0 + 3.7 * len(charts), 1.5 + 3.5 * len(networks))
    figure, axes = panels(len(networks), len(charts), size, subplot_kw={"projection": "polar"})
    # The layout does not see that the charts' titles reach above their axes.
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.35 / size[1]), w_pad=0.2)
    for row, network in zip(axes, networks, strict=True):
        for axis, chart in zip(row, charts, strict=True):
            columns = list(chart.axes)
            angles = np.linspace(0, 2 * np.pi, len(columns), endpoint=False)
            drawn = []
            for (of, model, variant), values in cells.items():
                if of == network:
                    means = [np.mean(values[column]) for column in columns]
                    drawn += means
                    axis.plot([*angles, 0], [*means, means[0]], lines[model], marker=".", color=COLOURS[variant],
                              lw=1.4, label=f"{labels[model]}, {VARIANT_LABELS[variant]}")  # fmt: skip
            low = max(0, STEP * np.floor(min(drawn) / STEP - 0.5))
            high = max(low + STEP, min(100, STEP * np.ceil(max(drawn) / STEP)))
            axis.set_ylim(low, high)
            axis.set_yticks(np.arange(low + STEP, high + 1, STEP))
            axis.tick_params(axis="y", labelsize=7, labelcolor="0.4")
            axis.set_theta_offset(np.pi / 2)
            axis.set_xticks(angles, [chart.axes[column] for column in columns], fontsize=8)
            axis.tick_params(axis="x", pad=9)
            axis.set_title(f"{chart.title} ({NETWORK_LABELS[network]})", fontsize=10, pad=16)
    legend_below(figure, axes, columns=3)
    figure.suptitle(f"{title}; accuracy / %", fontsize=10, y=1 - 0.08 / size[1], va="top")
    save(figure, path)


def scenes(examples: Sequence[Example], path: Path, title: str) -> None:
    """A column a scene: what is seen, what is heard step by step, and questions with the models' answers.

    Args:
        examples: left to right.
        path: the PNG.
        title: names data set and models.
    """
    texts = [as_text(example.questions) for example in examples]
    heights = (2.7, 0.4, 0.1 + LINE * max(len(lines) for lines in texts))  # inches
    figure, axes = panels(3, len(examples), (3.6 * len(examples), 1.1 + sum(heights)), height_ratios=heights)
    for column, example, lines in zip(axes.T, examples, texts, strict=True):
        image, sound, text = column
        image.imshow(example.image, cmap="gray", interpolation="nearest")
        half_height, half_width = (side / 2 - 0.5 for side in example.image.shape)
        image.axhline(half_height, color=COLOURS["visual"], lw=0.8)
        image.axvline(half_width, color=COLOURS["visual"], lw=0.8)
        image.set_xticks([])
        image.set_yticks([])
        sound.set_xlim(0, len(example.heard))
        sound.set_ylim(0, 1)
        for step, word in enumerate(example.heard):
            sound.axvspan(step, step + 1, color=COLOURS["heard"] if word else "0.92", lw=0.5, ec="white")
            sound.text(step + 0.5, 0.5, word, ha="center", va="center", fontsize=10)
        sound.set_yticks([])
        sound.set_xticks(np.arange(len(example.heard)) + 0.5, range(1, len(example.heard) + 1), fontsize=7)
        sound.set_xlabel("step; digits that are heard", fontsize=8)
        text.axis("off")
        text.text(0, 1, "\n".join(lines), va="top", fontsize=8, transform=text.transAxes)
    save(figure, path, title)


def as_text(questions: Sequence[Asked]) -> list[str]:
    """Lines, an empty one behind each question."""
    lines = []
    for asked in questions:
        lines += textwrap.wrap(asked.question, WIDTH, break_long_words=False, break_on_hyphens=False)
        lines.append(f"   answer: {asked.answer}")
        for model, answer in asked.given.items():
            lines.append(f"   {'✓' if answer == asked.answer else '✗'} {model}: {answer}")
        lines.append("")
    return lines
