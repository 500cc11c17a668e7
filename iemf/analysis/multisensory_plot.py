"""The picture of multisensory gain against the strength of the modalities alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from iemf.analysis.figure import panels, save
from iemf.analysis.multisensory import gains_of
from iemf.analysis.style import COLOURS, MODALITY_LABELS, NETWORK_LABELS, VARIANT_LABELS

LINES = {"audio": "-", "visual": "--"}  # of the noisy modality
ROWS = {"absolute": "gain over the better\nmodality / points", "relative": "enhancement over the\nbetter modality / %"}


def gain_over_strength(rows: Sequence[Mapping], labels: Mapping[str, str], path: Path, title: str) -> None:
    """A column a method, for each network gain above, enhancement below; a point is a ratio of noise, mean over seeds.

    Args:
        rows: records with network, method, variant, seed, modality (the noisy one) and the three test accuracies, in
            percent, in the order of rising ratios.
        labels: of the methods.
        path: the PNG.
        title: names data set and settings.
    """
    found = gains_of(rows)
    networks, methods = sorted({key[1] for key in found}), list(dict.fromkeys(key[0] for key in found))
    size = (max(6.4, 1.2 + 2.6 * len(methods)), 1.3 + 3.9 * len(networks))
    figure, axes = panels(2 * len(networks), len(methods), size, sharex=True)
    for (method, network, modality, variant), by_seed in found.items():
        column = axes[2 * networks.index(network) :, methods.index(method)]
        for axis, quantity in zip(column, ROWS, strict=False):
            shortest = min(map(len, by_seed.values()))
            points = [[(g.strength, getattr(g, quantity)) for g in gains[:shortest]] for gains in by_seed.values()]
            axis.plot(*np.mean(points, axis=0).T, marker="o", ms=3, lw=1, ls=LINES[modality], color=COLOURS[variant],
                      label=f"{VARIANT_LABELS[variant]}, noise in {MODALITY_LABELS[modality]}")  # fmt: skip
    for row, line in enumerate(axes):
        network, name = networks[row // 2], list(ROWS.values())[row % 2]
        line[0].set_ylabel(name, fontsize=8)
        for axis, method in zip(line, methods, strict=True):
            axis.axhline(0, color="black", lw=0.7)
            axis.grid(lw=0.3)
            axis.tick_params(labelsize=8)
            if row % 2 == 0:
                axis.set_title(f"{NETWORK_LABELS[network]}, {labels[method]}", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("mean accuracy of sound\nand images alone / %", fontsize=8)
    handles = dict(pair[::-1] for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels(), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(title, fontsize=10)
    save(figure, path)
