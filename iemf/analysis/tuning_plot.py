"""The picture of a search: validation accuracy over the learning rate."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.ticker import FuncFormatter, LogLocator

from iemf.analysis.figure import legend_below, panels, save
from iemf.analysis.style import COLOURS, NETWORK_LABELS, VARIANT_LABELS


def over_rate(
    records: Sequence[Mapping],
    best: Mapping[tuple[str, str, str], int],
    labels: Mapping[str, str],
    path: Path,
    title: str,
) -> None:
    """A line of panels a network, a panel a method; a dot a run, the chosen trial of each variant ringed.

    Args:
        records: one a run: network, method, variant, trial, lr, val_accuracy in percent or None where it diverged.
        best: {(network, method, variant): trial}.
        labels: of the methods.
        path: the PNG.
        title: names data set and length.
    """
    networks = [name for name in NETWORK_LABELS if any(r["network"] == name for r in records)]
    methods = [name for name in labels if any(r["method"] == name for r in records)]
    figure, axes = panels(len(networks), len(methods), (max(4.5, 1 + 2.6 * len(methods)), 1 + 2.3 * len(networks)),
                          sharex=True, sharey=True)  # fmt: skip
    for line, network in zip(axes, networks, strict=True):
        for axis, method in zip(line, methods, strict=True):
            for variant, label in VARIANT_LABELS.items():
                of = sorted((r for r in records if (r["network"], r["method"], r["variant"]) ==
                             (network, method, variant) and r["val_accuracy"] is not None), key=lambda r: r["lr"]
                            )  # fmt: skip
                if not of:
                    continue
                rates, accuracies = [r["lr"] for r in of], [r["val_accuracy"] for r in of]
                axis.plot(rates, accuracies, "o-", ms=3.5, lw=1, color=COLOURS[variant], label=label)
                chosen = [r for r in of if r["trial"] == best.get((network, method, variant))]
                axis.plot([r["lr"] for r in chosen], [r["val_accuracy"] for r in chosen], "o", ms=10, mfc="none",
                          mew=1.4, color=COLOURS[variant])  # fmt: skip
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.minorticks_off()
            axis.set_title(f"{NETWORK_LABELS[network]}, {labels[method]}", fontsize=9, loc="left")
            axis.tick_params(labelsize=7)
            axis.grid(lw=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("learning rate", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("validation accuracy / %", fontsize=8)
    legend_below(figure, axes)
    save(figure, path, f"{title}; ringed: the trial chosen")
