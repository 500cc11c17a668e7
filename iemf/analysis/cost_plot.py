"""The picture of training costs (the kind of Fig. 2 g)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from iemf.analysis.figure import panels, save
from iemf.analysis.style import COLOURS, NETWORK_LABELS

STYLES = {"IEMF against vanilla": COLOURS["iemf"], "IEMF against joint": COLOURS["fusion"],
          "joint against vanilla": COLOURS["joint"]}  # fmt: skip


def reductions(
    found: Mapping[tuple[str, str, str], Sequence[float]],
    labels: Mapping[str, str],
    paper: Mapping[str, float],
    path: Path,
    title: str,
) -> None:
    """Operations saved per method, one panel a network, one marker a comparison.

    Args:
        found: {(method, network, comparison): percent saved, one a seed}.
        labels: of the methods.
        paper: {method: percent of IEMF against vanilla}, drawn beside the ANN's.
        path: the PNG.
        title: names data set and settings.
    """
    networks, methods = (list(dict.fromkeys(key[i] for key in found)) for i in (1, 0))
    names = [name for name in STYLES if any(key[2] == name for key in found)]
    figure, axes = panels(1, len(networks), (max(7.0, 1.8 + 1.25 * len(methods) * len(networks)), 4.2), sharey=True)
    gap = 0.7 / len(names)
    for axis, network in zip(axes[0], networks, strict=True):
        axis.axhline(0, color="black", lw=0.8)
        for number, name in enumerate(names):
            rows = [(i, found[m, network, name]) for i, m in enumerate(methods) if (m, network, name) in found]
            x = np.array([i for i, _ in rows]) + (number - (len(names) - 1) / 2) * gap
            spread = [np.std(v, ddof=1) if len(v) > 1 else np.nan for _, v in rows]
            axis.errorbar(x, [np.mean(v) for _, v in rows], spread, fmt="_", ms=9, mew=2.5, capsize=3, lw=1.2,
                          label=name, color=STYLES[name])  # fmt: skip
            for place, (_, values) in zip(x, rows, strict=True):
                axis.plot([place + gap / 3] * len(values), values, ".", color=STYLES[name], ms=5)
        if network == "ann" and (told := [(i, paper[m]) for i, m in enumerate(methods) if m in paper]):
            axis.plot(*zip(*told, strict=True), "*", color="black", ms=8, ls="",
                      label="paper: IEMF against vanilla (Kinetics-Sounds)")  # fmt: skip
        axis.set_xticks(range(len(methods)), [labels[m] for m in methods])
        axis.set_xlim(-0.5, len(methods) - 0.5)
        axis.set_title(NETWORK_LABELS[network], fontsize=10)
        axis.grid(axis="y", lw=0.4)
    axes[0, 0].set_ylabel("FLOPs saved until the same errors / %", fontsize=9)
    handles = dict(pair[::-1] for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels(), strict=True))
    handles = dict(sorted(handles.items(), key=lambda pair: pair[0].startswith("paper")))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, fontsize=8)
    save(figure, path, title)
