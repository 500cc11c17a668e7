"""The picture of robustness: test accuracy over the test split's signal-to-noise ratio."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from iemf.analysis.figure import legend_below, mean_and_band, panels, save
from iemf.analysis.style import COLOURS, MODALITY_LABELS, NETWORK_LABELS, VARIANT_LABELS, VARIANT_LINES
from iemf.data.noise import Range

Key = tuple[str, str, str, str]  # method, network, noisy modality, variant


def curves_of(rows: Sequence[Mapping]) -> dict[Key, dict[int, list[float]]]:
    """{key: {seed: fused test accuracies in percent, one a ratio in the order given}}."""
    curves: dict[Key, dict[int, list[float]]] = {}
    for row in rows:
        by_seed = curves.setdefault((row["method"], row["network"], row["modality"], row["variant"]), {})
        by_seed.setdefault(row["seed"], []).append(row["test_accuracy"])
    return curves


def accuracy_over_snr(
    rows: Sequence[Mapping],
    labels: Mapping[str, str],
    training: Mapping[str, Range | None],
    chance: float,
    path: Path,
    title: str,
) -> None:
    """A column a method, a row a network and noisy modality; curves for the variants, ± one deviation over seeds.

    Args:
        rows: records with network, method, variant, seed, modality, snr (dB, ascending) and test_accuracy (percent).
        labels: of the methods.
        training: {modality: range of the ratios it was trained at}, shaded; None or CLEAN: no noise, no shade.
        chance: accuracy of guessing, in percent.
        path: the PNG.
        title: names data set and settings.
    """
    curves, ratios = curves_of(rows), sorted({row["snr"] for row in rows})
    methods = list(dict.fromkeys(key[0] for key in curves))
    conditions = sorted({key[1:3] for key in curves})
    size = (max(5.5, 1 + 2.6 * len(methods)), 1.2 + 2.5 * len(conditions))
    figure, axes = panels(len(conditions), len(methods), size, sharex=True, sharey=True)
    for row, (network, modality) in zip(axes, conditions, strict=True):
        for axis, method in zip(row, methods, strict=True):
            if (snr := training[modality]) is not None and np.isfinite(snr).all():
                axis.axvspan(*snr, color=COLOURS["trained"], alpha=0.18, lw=0, label="SNR in training")
            axis.axhline(chance, color="black", lw=0.9, ls=":", label=f"chance ({chance:.3g} %)")
            for variant, label in VARIANT_LABELS.items():
                if (by_seed := curves.get((method, network, modality, variant))) is not None:
                    style = {"color": COLOURS[variant], "ls": VARIANT_LINES[variant], "label": label}
                    mean_and_band(axis, ratios, by_seed.values(), marker="o", ms=2.5, lw=1.3, **style)
            axis.set_title(f"{NETWORK_LABELS[network]}, {labels[method]}", fontsize=9)
            axis.set_xlabel(f"test SNR of the {MODALITY_LABELS[modality]} / dB", fontsize=8)
            axis.grid(lw=0.3)
            axis.tick_params(labelsize=8, labelbottom=True)  # sound above, images below: the axes are not one
        row[0].set_ylabel("test accuracy / %", fontsize=8)
    axes[0, 0].set_ylim(0, 100)
    legend_below(figure, axes, columns=3 if len(methods) < 3 else 5)
    save(figure, path, title)
