"""From finished class-incremental runs to a table, JSON and the two pictures of Fig. 3."""

from pathlib import Path

from experiments.sweep import published
from experiments.sweep.balance import balanced_labels, stretched
from experiments.sweep.report import Cells, Done, cells_of, note, summarise, values, variants_of, write_results
from experiments.sweep.statistics import difference, plus_minus
from experiments.sweep.table import table_lines
from iemf.analysis import continual_plots
from iemf.analysis.style import VARIANT_LABELS
from iemf.continual.methods import METHODS

MEASURES = {"mean_accuracy": "AIA", "average_forgetting": "AFR"}
QUANTITIES = (*MEASURES, "test_accuracy", "test_accuracy_audio", "test_accuracy_visual", "xi", "xi_val", "xi_test",
              "firing_rate")  # fmt: skip
LABELS = balanced_labels({name: method.label for name, method in METHODS.items()})


def write(done: Done, out: Path, unfinished: int) -> str:
    """Write everything into ``out`` and return the table as Markdown."""
    cells, example = cells_of(done), done[0][0]
    table = markdown(cells, done, unfinished)
    records = summarise(cells, ("network", "method", "variant"), QUANTITIES)
    for record, by_seed in zip(records, cells.values(), strict=True):
        record["accuracies"] = [by_seed[seed]["accuracies"] for seed in record["seeds"]]
    write_results(done, table, records, out)
    title = f"{example.dataset}, {epochs_of(done)} epochs a task, n = {max(map(len, cells.values()))} seed(s)"
    curves = {cell: [r["average_accuracies"] for r in by_seed.values()] for cell, by_seed in cells.items()}
    continual_plots.average_accuracy(curves, LABELS, out / "average_accuracy.png", title)
    bars = {cell: {name: [r[name] for r in by_seed.values()] for name in MEASURES} for cell, by_seed in cells.items()}
    continual_plots.accuracy_and_forgetting(bars, LABELS, out / "accuracy_and_forgetting.png", title)
    return table


def epochs_of(done: Done) -> str:
    """One number, or one a method where they differ."""
    by_method = {run.method: run.epochs for run, _ in done}
    if len(set(by_method.values())) == 1:
        return str(done[0][0].epochs)
    return ", ".join(f"{epochs} ({LABELS[method]})" for method, epochs in by_method.items())


def markdown(cells: Cells, done: Done, unfinished: int) -> str:
    """A row a method and network: AIA and AFR of each variant, what ξ itself changes, and what the paper has."""
    example, variants = done[0][0], variants_of(cells)
    numbers = {name: values(cells, name) for name in MEASURES}
    compared = {"joint", "iemf"} <= set(variants)
    header = ["method", "network", *(f"{short}: {VARIANT_LABELS[v]}" for short in MEASURES.values() for v in variants)]
    header += [f"{short}: IEMF − joint" for short in MEASURES.values()] if compared else []
    paper = published.continual(example.dataset)
    header += [f"paper, {short}: vanilla → IEMF" for short in MEASURES.values()] if paper else []
    rows = []
    for network, method in dict.fromkeys(cell[:2] for cell in cells):
        of = {(name, v): numbers[name].get((network, method, v), {}) for name in MEASURES for v in variants}
        row = [LABELS[method], network.upper(), *(plus_minus(list(by_seed.values())) for by_seed in of.values())]
        if compared:
            row += [plus_minus(difference(of[name, "iemf"], of[name, "joint"]), signed=True) for name in MEASURES]
        rows.append(row + (of_paper(example.dataset, network, method) if paper else []))
    what = "Mean accuracy over tasks (AIA, higher is better) and average forgetting rate (AFR, lower is better) in %, "
    what += f"{{seeds}}. {example.dataset}, recipe {example.recipe}, {epochs_of(done)} epochs a task, "
    what += (
        f"{example.optimizer} with lr {example.lr:g}, {exemplars(done)}; validation chooses each task's epoch, test is "
    )
    what += f"read after it.{stretched(done, 'balance')}"
    measures = {name: f"{short}, " for name, short in MEASURES.items()}
    return "\n".join([table_lines(header, rows), "", note(cells, measures, what, unfinished)])


def exemplars(done: Done) -> str:
    """What the methods with a memory hold."""
    held = next((run.memory for run, _ in done if run.memory is not None), None)
    return "no exemplars" if held is None else f"{held} exemplars"


def of_paper(dataset: str, network: str, method: str) -> list[str]:
    """AIA and AFR of Table S4, vanilla → IEMF; it has ANNs and no fine-tuning."""
    numbers = published.continual(dataset)
    vanilla, iemf = (numbers.get((method, variant)) for variant in ("vanilla", "iemf"))
    if network != "ann" or vanilla is None:
        return ["–"] * len(MEASURES)
    return [f"{before:.2f} → {after:.2f}" for before, after in zip(vanilla, iemf, strict=True)]
