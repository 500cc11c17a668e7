"""From finished classification runs to a table, JSON, CSV and pictures."""

import statistics
from pathlib import Path

from experiments.classification.alone_report import fusion_in_words, heads_table, parted
from experiments.classification.options import ALONE, RunConfig, modalities_of
from experiments.sweep import published
from experiments.sweep.balance import stretched
from experiments.sweep.report import Cells, Done, cells_of, note, summarise, values, variants_of, write_results
from experiments.sweep.statistics import difference, plus_minus
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis import plots
from iemf.analysis.style import ALONE_LABELS, MODALITY_LABELS, SHORT_VARIANT_LABELS, VARIANT_LABELS
from iemf.balance import METHODS
from iemf.files import write_atomically
from iemf.training import RunFolder

ACCURACY = "test_accuracy"
LATE = 0.9  # of the epochs; a network that is best behind it may still be improving
QUANTITIES = (ACCURACY, *(f"test_accuracy_{name}" for name in MODALITY_LABELS), "xi", "xi_val", "xi_test",
              "firing_rate")  # fmt: skip
LABELS = {name: method.label for name, method in METHODS.items()}


def write(done: Done, out: Path, unfinished: int) -> str:
    """Write everything into ``out`` and return the table as Markdown."""
    cells = cells_of(done)
    table = markdown(cells, done, unfinished)
    write_results(done, table, summarise(cells, ("network", "method", "variant"), QUANTITIES), out)
    write_atomically(out / "results.csv", as_csv(done))
    write_atomically(out / "epochs.csv", epochs_as_csv(done))
    draw(done, cells, out)
    return table


def markdown(cells: Cells, done: Done, unfinished: int) -> str:
    """One row a network and method; columns for the variants, what IEMF changes, firing rates, the paper's numbers.
    Networks of one modality have rows and a column of their own, and a second table."""
    variants, accuracy = variants_of(cells), values(cells, ACCURACY)
    whole, one = parted(cells)
    example = next((run for run, _ in done if run.modality is None), done[0][0])
    others = [v for v in variants if v != "iemf"] if "iemf" in variants else []
    paper = published.accuracies(example.dataset)
    spiking = any(cell[0] == "snn" for cell in cells)
    header = ["method", "network", *([ALONE] if one else []), *(VARIANT_LABELS[v] for v in variants)]
    header += [f"IEMF − {SHORT_VARIANT_LABELS[v]}" for v in others]
    header += ["mean firing rate"] if spiking else []
    told = [v for v in VARIANT_LABELS if any(cell[2] == v for cell in paper)]
    header += [f"paper: {SHORT_VARIANT_LABELS[v]}" for v in told]
    rows = []
    for method in dict.fromkeys(cell[1] for cell in [*one, *whole]):
        for network in dict.fromkeys(cell[0] for cell in cells):
            of = {v: accuracy.get((network, method, v), {}) for v in ([ALONE] if one else []) + variants}
            row = [
                (LABELS | ALONE_LABELS)[method],
                network.upper(),
                *(plus_minus(list(by.values())) for by in of.values()),
            ]
            row += [plus_minus(difference(of["iemf"], of[v]), signed=True) for v in others]
            if spiking:
                rates = [r["firing_rate"] for v in of for r in cells.get((network, method, v), {}).values()
                         if "firing_rate" in r]  # fmt: skip
                row.append(f"{100 * statistics.fmean(rates):.1f} %" if rates else "–")
            row += [f"{paper[network, method, v]:.2f}" if (network, method, v) in paper else "–" for v in told]
            rows.append(row)
    what = (
        f"Test accuracy in %, {{seeds}}. {example.dataset}, ResNet-18 of width {example.width}, stem {example.stem}, "
    )
    what += f"{example.fusion} fusion, " if whole else ""
    what += f"{schedule(example)}; the epoch is chosen on validation, test is read once."
    what += stretched(done, "method") + late(cells, example)
    if once := [LABELS[m] for m in dict.fromkeys(cell[1] for cell in whole) if METHODS[m].needs_heads]:
        what += f" Vanilla {', '.join(once)}: as with joint learning, whose losses they are rules for."
    if "iemf" in variants and "vanilla" in variants and "joint" not in variants:
        what += " IEMF − vanilla is what ξ and the heads' losses do together; the variant joint would tell them apart."
    told = note(cells, {ACCURACY: ""}, what, unfinished) + fusion_in_words(cells)
    heads = ["", heads_table(cells, LABELS)] if one and whole else []
    return "\n".join([table_lines(header, rows), "", told, *heads])


def schedule(config: RunConfig, rate: str | None = None) -> str:
    """Epochs, optimiser and learning rate in words; ``rate`` where runs have different ones."""
    rate = rate or (f"lr tuned ({config.tuned})" if config.tuned else f"lr {config.lr:g}")
    momentum = f", momentum {config.momentum:g}" if config.momentum else ""
    falls = config.lr_drop is not None and 0 <= config.lr_drop < config.epochs
    course = {
        "step": f", a tenth of it from epoch {config.lr_drop + 1}" if falls else "",
        "cosine": ", down to 0 on a cosine",
        "plateau": f", a tenth of it after {config.patience} epochs without a better validation, the third time over",
    }.get(config.schedule, "")
    rise = f", {config.warmup} steps of warm-up" if config.warmup else ""
    most = "at most " if config.schedule == "plateau" else ""
    return (f"{most}{config.epochs} epochs, {config.optimizer} with {rate}{course}{rise}{momentum}, recipe "
            f"{config.recipe}")  # fmt: skip


def late(cells: Cells, example: RunConfig) -> str:
    """How many runs may not have stopped improving, in words; those of a plateau have."""
    if example.schedule == "plateau":
        return ""
    best = [results["best_epoch"] for by_seed in cells.values() for results in by_seed.values()]
    count = sum(epoch >= LATE * example.epochs for epoch in best)
    return f" {count} of {len(best)} runs are best in the last tenth of their epochs."


def as_csv(done: Done) -> str:
    """One line a run."""
    heads = [f"test_accuracy_{name}" for name in modalities_of(done[0][0].dataset)]
    columns = [ACCURACY, *heads, "val_accuracy", "best_epoch"]
    rows = []
    for run, results in done:
        found = [results.get(c, "") for c in columns]  # of one modality: the other has no accuracy
        numbers = [f"{value:.2f}" if isinstance(value, float) else value for value in found]
        rate = f"{results['firing_rate']:.4f}" if "firing_rate" in results else ""
        rows.append([*run.cell, run.seed, *numbers, rate])
    return csv_text(["network", "method", "variant", "seed", *columns, "firing_rate"], rows)


def epochs_as_csv(done: Done) -> str:
    """One line a run and epoch (from 0): what the curves are drawn from."""
    heads = [f"val_accuracy_{name}" for name in modalities_of(done[0][0].dataset)]
    columns = [*heads, "val_accuracy_fused", "xi", "xi_val"]
    rows = [
        [*run.cell, run.seed, epoch, *("" if record.get(c) is None else f"{record[c]:.4g}" for c in columns)]
        for run, _ in done
        for epoch, record in enumerate(RunFolder(run.out).metrics())
    ]
    return csv_text(["network", "method", "variant", "seed", "epoch", *columns], rows)


def draw(done: Done, cells: Cells, out: Path) -> None:
    """accuracy.png; xi_over_epochs.png and firing_rates.png where there are IEMF and spiking runs. Networks of one
    modality are in the first alone."""
    whole, one = parted(cells)
    done = [(run, results) for run, results in done if run.modality is None]
    if not done:
        return
    example = done[0][0]
    seeds = max(len(by_seed) for by_seed in cells.values())
    spread = ", ± 1 deviation" if seeds > 1 else ""
    title = f"{example.dataset}, {example.epochs} epochs, n = {seeds} seed(s){spread}"
    alone = {cell[:2]: list(of.values()) for cell, of in values(one, ACCURACY).items()}
    plots.accuracies({cell: list(of.values()) for cell, of in values(whole, ACCURACY).items()}, LABELS,
                     out / "accuracy.png", title, alone)  # fmt: skip
    histories: dict[tuple[str, str], dict[str, list[list[dict]]]] = {}
    for run, _ in done:
        variants = histories.setdefault((run.network, run.method), {})
        variants.setdefault(run.variant, []).append(RunFolder(run.out).metrics())
    histories = {key: variants for key, variants in histories.items() if "iemf" in variants}
    if histories and example.epochs > 1:
        tests: dict[tuple[str, str], list[float]] = {}
        for run, results in done:
            tests.setdefault((run.network, run.method), []).extend(results.get("xi_test_batches", []))
        tests = {key: xi for key, xi in tests.items() if xi}
        plots.coefficient_over_epochs(histories, tests, LABELS, out / "xi_over_epochs.png")
    layers = [layer for _, results in done for layer in results.get("firing_rate_layers", [])]
    if layers:
        spiking = sum(run.network == "snn" for run, _ in done)
        plots.firing_rates(layers, out / "firing_rates.png", f"Firing rates on the test split, mean of {spiking} runs")
