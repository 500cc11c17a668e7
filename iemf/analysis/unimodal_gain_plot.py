"""The picture of a unimodal gain (the kind of Fig. 2 d): one modality alone, begun in different ways."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D

from iemf.analysis.figure import panels, save
from iemf.analysis.style import COLOURS, MODALITY_LABELS, NETWORK_LABELS

SPAN = 10  # percentage points that every panel shows at least


def accuracy_of_branches(rows: Sequence[Mapping], labels: Mapping[str, str], path: Path, title: str) -> None:
    """A row a network, a column a modality; a marker a course, ± one deviation, every seed as a dot.

    All panels show as many percentage points, so that differences compare.

    Args:
        rows: records with network, modality, course, seed, test_accuracy and test_accuracy_before (percent; None where
            nothing was taken over), the latter drawn as an open circle.
        labels: of the courses, in their order.
        path: the PNG.
        title: names data set and settings.
    """
    networks, modalities = (list(dict.fromkeys(row[name] for row in rows)) for name in ("network", "modality"))
    courses = [course for course in labels if any(row["course"] == course for row in rows)]
    size = (1.2 + 0.75 * len(courses) * len(modalities), 1.3 + 3.0 * len(networks))
    figure, axes = panels(len(networks), len(modalities), (max(6.5, size[0]), size[1]))
    extents = []
    for line, network in zip(axes, networks, strict=True):
        for axis, modality in zip(line, modalities, strict=True):
            shown = [row for row in rows if (row["network"], row["modality"]) == (network, modality)]
            for place, course in enumerate(courses):
                of = [row for row in shown if row["course"] == course]
                colour = COLOURS.get(course, COLOURS[modality])  # of branches their variant's
                after = [row["test_accuracy"] for row in of]
                before = [b for row in of if (b := row["test_accuracy_before"]) is not None]
                if before:
                    axis.plot(place - 0.25, np.mean(before), "o", ms=5, mfc="none", color=colour)
                if after:
                    spread = np.std(after, ddof=1) if len(after) > 1 else np.nan
                    axis.errorbar(place, np.mean(after), spread, fmt="_", ms=13, mew=2.5, capsize=3, lw=1.2,
                                  color=colour)  # fmt: skip
                    axis.plot([place + 0.25] * len(after), after, ".", color=colour, ms=5)
            axis.set_xticks(range(len(courses)), [labels[course] for course in courses], fontsize=8)
            axis.set_xlim(-0.6, len(courses) - 0.4)
            axis.set_title(f"{NETWORK_LABELS[network]}, {MODALITY_LABELS[modality]}", fontsize=10)
            axis.set_xlabel("begun as, epochs (first + alone)", fontsize=8)
            axis.grid(axis="y", lw=0.4)
            extents.append(np.diff(axis.get_ylim())[0])
        line[0].set_ylabel("test accuracy / %")
    for axis in axes.flat:
        middle, span = np.mean(axis.get_ylim()), max(SPAN, *extents)
        axis.set_ylim(middle - span / 2, middle + span / 2)
    if any(row["test_accuracy_before"] is not None for row in rows):
        circle = Line2D([], [], marker="o", ls="", ms=5, mfc="none", color="black")
        figure.legend([circle], ["before being trained on alone"], loc="outside lower center", fontsize=8)
    save(figure, path, title)
