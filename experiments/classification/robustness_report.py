"""From evaluations to the table, CSV, JSON and picture of robustness."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments.classification.options import RunConfig
from experiments.classification.report import LABELS
from experiments.sweep.report import settings
from experiments.sweep.statistics import paired, plus_minus, seeds_in_words
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis.multisensory import gains_of, inverse_effectiveness
from iemf.analysis.multisensory_plot import gain_over_strength
from iemf.analysis.robustness_plot import accuracy_over_snr, curves_of
from iemf.analysis.style import MODALITY_LABELS, SHORT_VARIANT_LABELS, VARIANT_LABELS
from iemf.data.noise import Noise
from iemf.files import write_atomically, write_json
from iemf.training import RunFolder

ACCURACIES = {"test_accuracy": "fused", "test_accuracy_audio": "audio", "test_accuracy_visual": "visual"}
DIFFERENCES = {f"{SHORT_VARIANT_LABELS[more]} − {SHORT_VARIANT_LABELS[less]}": (more, less)
               for more, less in (("joint", "vanilla"), ("iemf", "joint"))}  # fmt: skip


def summarise(rows: Sequence[dict]) -> list[dict]:
    """A record a method, network and noisy modality: {variant or difference: {seed: percent, averaged over ratios}}."""
    curves, summary = curves_of(rows), []
    for panel in dict.fromkeys(key[:3] for key in curves):
        mean = {v: {s: statistics.fmean(c) for s, c in curves.get((*panel, v), {}).items()} for v in VARIANT_LABELS}
        for name, (more, less) in DIFFERENCES.items():
            mean[name] = {s: mean[more][s] - mean[less][s] for s in mean[more] if s in mean[less]}
        summary.append(dict(zip(("method", "network", "modality"), panel, strict=True)) | mean)
    return summary


def markdown(summary: Sequence[dict], configs: Sequence[RunConfig], ratios: Sequence[float], unfinished: int) -> str:
    """One row a method, network and noisy modality; columns for the variants and their differences."""
    columns = [name for name in (*VARIANT_LABELS, *DIFFERENCES) if any(row[name] for row in summary)]
    rows = [
        [LABELS[row["method"]], row["network"].upper(), MODALITY_LABELS[row["modality"]]]
        + [plus_minus(list(row[name].values()), signed=name in DIFFERENCES) for name in columns]
        for row in summary
    ]
    table = table_lines(["method", "network", "noise in", *(VARIANT_LABELS.get(c, c) for c in columns)], rows)
    cells = {(config.network, config.method, config.variant): {} for config in configs}
    for config in configs:
        cells[config.network, config.method, config.variant][config.seed] = config
    seeds = seeds_in_words(cells)
    note = f"Test accuracy in %, averaged over test SNRs of {' '.join(f'{ratio:g}' for ratio in ratios)} dB in the "
    note += f"modality named while the other keeps the run's test noise; {seeds}. {configs[0].dataset}, ResNet-18 of "
    note += f"width {configs[0].width}, {configs[0].epochs} epochs."
    for name in DIFFERENCES:
        note += paired(name, [list(row[name].values()) for row in summary])
    note += f" {unfinished} run(s) are not finished and not counted." if unfinished else ""
    return f"{table}\n\n{note}"


def by_ratio(rows: Sequence[dict]) -> str:
    """One row a network, noisy modality and ratio: the differences between variants, averaged over methods."""
    accuracy = {
        tuple(row[name] for name in ("network", "modality", "snr", "variant", "seed", "method")): row["test_accuracy"]
        for row in rows
    }
    panels = dict.fromkeys(key[:3] for key in sorted(accuracy, key=lambda key: (key[0], key[1], key[2])))
    lines = []
    for panel in panels:
        line = [panel[0].upper(), MODALITY_LABELS[panel[1]], f"{panel[2]:g} dB"]
        for more, less in DIFFERENCES.values():
            by_seed: dict[int, list[float]] = {}
            for (*where, variant, seed, method), value in accuracy.items():
                base = accuracy.get((*panel, less, seed, method))
                if tuple(where) == panel and variant == more and base is not None:
                    by_seed.setdefault(seed, []).append(value - base)
            line.append(plus_minus([statistics.fmean(values) for values in by_seed.values()], signed=True))
        lines.append(line)
    table = table_lines(["network", "noise in", "test SNR", *DIFFERENCES], lines)
    return f"At each ratio, mean over methods:\n\n{table}"


def effectiveness(rows: Sequence[dict]) -> str:
    """One row a network and noisy modality: rank correlation of strength and enhancement, mean over methods."""
    found: dict[tuple[str, str], dict[str, dict[int, list[float]]]] = {}
    for (_, network, modality, variant), by_seed in gains_of(rows).items():
        for seed, gains in by_seed.items():
            if (value := inverse_effectiveness(gains)) is not None:
                of = found.setdefault((network, modality), {}).setdefault(variant, {})
                of.setdefault(seed, []).append(value)
    variants = [v for v in VARIANT_LABELS if any(v in of for of in found.values())]
    lines = []
    for (network, modality), of in found.items():
        means = [[statistics.fmean(values) for values in of.get(v, {}).values()] for v in variants]
        told = [plus_minus(of_seeds, signed=True) for of_seeds in means]
        lines.append([network.upper(), MODALITY_LABELS[modality], *told])
    table = table_lines(["network", "noise in", *(VARIANT_LABELS[v] for v in variants)], lines)
    what = "Inverse effectiveness: Spearman's rank correlation, over the ratios, of the mean accuracy of the modalities"
    what += " alone and what the fusion adds to the better one, in percent of it; mean over methods. −1: the weaker,"
    return f"{what} the more.\n\n{table}"


def as_csv(rows: Sequence[dict]) -> str:
    """One line a run, noisy modality and ratio."""
    lines = [row | {name: f"{row[name]:.2f}" for name in ACCURACIES} for row in rows]
    return csv_text(list(rows[0]), [list(line.values()) for line in lines])


def write(rows: Sequence[dict], configs: Sequence[RunConfig], unfinished: int, out: Path) -> str:
    """Write the five files into ``out`` and return the table as Markdown."""
    summary, example = summarise(rows), configs[0]
    ratios = sorted({row["snr"] for row in rows})
    table = markdown(summary, configs, ratios, unfinished)
    write_atomically(out / "table.md", f"{table}\n\n{by_ratio(rows)}\n\n{effectiveness(rows)}\n")
    write_json(
        out / "robustness.json",
        {"settings": settings([(config, {}) for config in configs]), "summary": summary, "evaluations": rows},
    )
    write_atomically(out / "robustness.csv", as_csv(rows))
    noise = {modality: getattr(example, f"snr_{modality}") for modality in Noise._fields}
    classes = RunFolder(example.out).results()["classes"]
    title = f"{example.dataset}, {example.epochs} epochs, n = {len({c.seed for c in configs})} seed(s), ± 1 deviation\n"
    title += "one modality at the SNR below, the other with the runs' own test noise"
    accuracy_over_snr(rows, LABELS, noise, 100 / len(classes), out / "robustness.png", title)
    title = f"{example.dataset}, {example.epochs} epochs: one modality at each of {len(ratios)} test SNRs"
    gain_over_strength(rows, LABELS, out / "multisensory_gain.png", f"{title}, the other as in training")
    return table
