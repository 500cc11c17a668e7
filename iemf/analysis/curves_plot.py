"""The picture of every run's validation accuracy over epochs, of any task."""

import io
import math
from collections.abc import Mapping, Sequence

from iemf.analysis.figure import panels
from iemf.analysis.style import ALONE_LABELS, COLOURS, NETWORK_LABELS, VARIANT_LABELS, VARIANT_LINES

COLUMNS = 4


def validation_curves(runs: Sequence[tuple[str, Mapping, Sequence[Mapping]]]) -> bytes:
    """A PNG: a panel a network and method (or model), a line a run.

    Args:
        runs: (name, stored options, epoch records with val_accuracy_fused in percent); without records: left out.
    """
    groups: dict[tuple[str, str], list[tuple[str, Sequence[Mapping]]]] = {}
    for _, config, history in runs:
        curve = [record for record in history if record.get("val_accuracy_fused") is not None]
        if curve:
            what = str(config.get("method") or config.get("model") or ALONE_LABELS.get(config.get("modality"), ""))
            key = NETWORK_LABELS.get(config.get("network"), str(config.get("network"))), what
            groups.setdefault(key, []).append((variant_of(config), curve))
    columns = min(COLUMNS, max(1, len(groups)))
    rows = max(1, math.ceil(len(groups) / columns))
    figure, axes = panels(rows, columns, (max(4.5, 1 + 2.7 * columns), 1.1 + 2.4 * rows), sharey=True)
    for axis, ((network, method), curves) in zip(axes.flat, groups.items(), strict=False):
        for variant, curve in curves:
            axis.plot(range(1, len(curve) + 1), [record["val_accuracy_fused"] for record in curve], lw=0.9, alpha=0.8,
                      color=COLOURS.get(variant, "black"), ls=VARIANT_LINES.get(variant, "-"),
                      label=VARIANT_LABELS.get(variant, variant))  # fmt: skip
        axis.set_title(f"{network}, {method}", fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.grid(lw=0.3)
        axis.tick_params(labelsize=8)
    for axis in axes.flat[len(groups) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("validation accuracy / %", fontsize=8)
    handles = dict(pair[::-1] for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels(), strict=True))
    if handles:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, dpi=130, format="png")
    return content.getvalue()


def variant_of(config: Mapping) -> str:
    """From a run's stored options: classification has two switches, the other tasks a name; "alone": one modality."""
    if config.get("modality"):
        return "alone"
    return config.get("variant") or ("iemf" if config.get("iemf") else "joint" if config.get("joint") else "vanilla")
