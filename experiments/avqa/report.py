"""From finished question-answering runs to tables, JSON, three radar charts and a picture of scenes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.avqa import data as qa_data
from experiments.avqa.options import MODEL_LABELS, RunConfig
from experiments.sweep import published
from experiments.sweep.balance import stretched
from experiments.sweep.command_line import as_options
from experiments.sweep.report import Cells, Done, cells_of, note, summarise, write_results
from experiments.sweep.runs import say
from experiments.sweep.statistics import BySeed, Cell, difference, other, plus_minus, summary
from experiments.sweep.table import table_lines
from iemf.analysis import avqa_plots
from iemf.analysis.avqa_plots import Asked, Chart, Example
from iemf.analysis.style import SHORT_VARIANT_LABELS, VARIANT_LABELS
from iemf.avqa import av_digits_qa
from iemf.avqa.accuracy import COLUMNS, OVERALL
from iemf.avqa.digit_scenes import Scene
from iemf.avqa.questions import Question
from iemf.errors import UserError
from iemf.files import read_json

FIELDS = ("network", "model", "variant", "blind")
ACCURACY = "test_accuracy"
QUANTITIES = (ACCURACY, "test_accuracy_audio", "test_accuracy_visual", "xi", "xi_val", "xi_test", "firing_rate")
BLIND_LABELS = {("audio",): "pictures alone", ("visual",): "sound alone", ("audio", "visual"): "question alone"}
SHORT = {
    "a_counting": "A: count", "a_comparative": "A: compare", "a_avg": "A",
    "v_counting": "V: count", "v_location": "V: locate", "v_avg": "V",
    "av_existential": "AV: exist", "av_location": "AV: locate", "av_counting": "AV: count",
    "av_comparative": "AV: compare", "av_temporal": "AV: when", "av_avg": "AV", OVERALL: "all",
}  # fmt: skip
CHARTS = tuple(
    Chart(title, {name: "average" if name.endswith("avg") else SHORT[name] for name in SHORT
                  if name.startswith(f"{letters}_")})
    for title, letters in (("sound", "a"), ("pictures", "v"), ("both", "av"))
)  # fmt: skip
SCENES, QUESTIONS = 3, 4  # of the picture


def write(done: Done, out: Path, unfinished: int) -> str:
    """Write everything into ``out`` and return the tables as Markdown."""
    cells, example = cells_of(done), done[0][0]
    table = markdown(cells, done, unfinished)
    records = summarise(cells, FIELDS, QUANTITIES)
    for record, cell in zip(records, cells, strict=True):
        record["test_accuracy_by_type"] = {name: summary(list(of.values()))
                                           for name, of in by_column(cells, cell).items()}  # fmt: skip
    write_results(done, table, records, out)
    seeing = {cell[:3]: {name: list(of.values()) for name, of in by_column(cells, cell).items()}
              for cell in cells if not cell[3]}  # fmt: skip
    title = f"{example.dataset}, {example.epochs} epochs, n = {max(map(len, cells.values()))} seed(s)"
    if seeing and all(set(measured) == set(COLUMNS) for measured in seeing.values()):
        avqa_plots.radar(seeing, MODEL_LABELS, CHARTS, out / "accuracy_by_type.png", title)
    if example.dataset == "av-digits-qa":
        draw_scenes(done, out / "scenes.png")
    return table


def by_column(cells: Cells, cell: Cell) -> dict[str, BySeed]:
    """{column: {seed: percent}} of one cell, of the types that the test split asks."""
    by_seed = cells[cell]
    columns = [name for name in COLUMNS if all(name in r["test_accuracy_by_type"] for r in by_seed.values())]
    return {name: {seed: by_seed[seed]["test_accuracy_by_type"][name] for seed in sorted(by_seed)} for name in columns}


def label(cell: Cell) -> list[str]:
    """First columns of a row."""
    network, model, variant, blind = cell
    return [MODEL_LABELS[model], network.upper(), BLIND_LABELS[blind] if blind else VARIANT_LABELS[variant]]


def markdown(cells: Cells, done: Done, unfinished: int) -> str:
    """Table S5's columns, a row a cell; what ξ itself changes; how far the blind are behind."""
    example, numbers = done[0][0], {cell: by_column(cells, cell) for cell in cells}
    columns = [name for name in COLUMNS if all(name in of for of in numbers.values())]
    rows = [[*label(cell), *(plus_minus(list(of[name].values())) for name in columns)] for cell, of in numbers.items()]
    if example.dataset == "music-avqa":
        rows += [["paper: " + MODEL_LABELS[model], "ANN", VARIANT_LABELS[variant],
                  *(f"{row[name]:.2f}" for name in columns)]
                 for (model, variant), row in published.avqa().items()]  # fmt: skip
        rows += [["readme of the code: " + MODEL_LABELS[model], "ANN", VARIANT_LABELS[variant],
                  *(f"{overall:.2f}" if name == OVERALL else "–" for name in columns)]
                 for (model, variant), overall in published.RELEASED_AVQA.items()]  # fmt: skip
    parts = [table_lines(["model", "network", "variant", *(SHORT[name] for name in columns)], rows)]
    if differences := compared(numbers, columns):
        parts.append(differences)
    what = f"Test accuracy in %, A, V, AV and all: averages over questions; {{seeds}}. {example.dataset}, recipe "
    what += f"{example.recipe}, {example.epochs} epochs, {example.optimizer} with lr {example.lr:g}"
    what += f", a tenth of it every {example.drop_every} epochs" if example.drop_every else ""
    what += "; validation chooses the epoch, test is read after it." + stretched(done, "balance")
    if unknown := next(iter(next(iter(cells.values())).values()))["unknown_answers"]:
        what += f" {unknown} test answers never occur in train and count as wrong."
    return "\n\n".join([*parts, note(cells, {ACCURACY: ""}, what, unfinished)])


def compared(numbers: Mapping[Cell, Mapping[str, BySeed]], columns: Sequence[str]) -> str | None:
    """Differences paired by seed: joint − vanilla, IEMF − joint, and to the best blind baseline of the seed."""
    blind = [of for cell, of in numbers.items() if cell[3]]
    shown = [name for name in ("a_avg", "v_avg", "av_avg", OVERALL) if name in columns]
    rows = []
    for cell, of in numbers.items():
        if cell[3]:
            continue
        against = {"best blind": best_of(blind, shown)} if blind else {}
        before = {"joint": "vanilla", "iemf": "joint"}.get(cell[2])
        if before is not None and other(cell, before) in numbers:
            against[before] = numbers[other(cell, before)]
        for name, less in against.items():
            told = (plus_minus(difference(of[column], less[column]), signed=True) for column in shown)
            rows.append([*label(cell)[:2], f"{SHORT_VARIANT_LABELS[cell[2]]} − {name}", *told])
    return table_lines(["model", "network", "difference", *(SHORT[name] for name in shown)], rows) if rows else None


def best_of(cells: Sequence[Mapping[str, BySeed]], columns: Sequence[str]) -> dict[str, BySeed]:
    """Of each column and seed that all of the cells have."""
    seeds = set.intersection(*(set(of[columns[0]]) for of in cells))
    return {name: {seed: max(of[name][seed] for of in cells) for seed in seeds} for name in columns}


def draw_scenes(done: Done, path: Path) -> None:
    """The first test scenes, an audio-visual question of each of some types, and what a run of each model answers."""
    chosen: dict[str, RunConfig] = {}
    for run, _ in done:  # of the first seed; the last variant, so IEMF where there is one
        if not run.blind and run.network == done[0][0].network and run.seed == done[0][0].seed:
            chosen[f"{MODEL_LABELS[run.cell[1]]}, {VARIANT_LABELS[run.variant]}"] = run
    by_model = {run.model: (name, run) for name, run in chosen.items()}
    given = {name: read_json(run.out / "predictions.json") for name, run in by_model.values()}
    example_run = done[0][0]
    if not qa_data.is_made(example_run.cache):
        return  # the table is made from finished runs alone, and their data have gone
    try:
        data = qa_data.load(example_run.dataset, None, example_run.cache)
    except UserError as error:
        say("avqa", f"no picture of scenes: {as_options(str(error))}")
        return
    if data.about["digest"] != example_run.data_digest:
        return
    questions = data.test.questions
    counts = dict(av_digits_qa.SCENES)
    scenes = av_digits_qa.scenes("test", SCENES)
    examples = [example(number, video, scene, questions, given, counts) for number, (video, scene) in enumerate(scenes)]
    avqa_plots.scenes(examples, path, f"{example_run.dataset}: the first test scenes, seed {example_run.seed}")


def example(
    number: int, video: str, scene: Scene, questions: Sequence[Question], given: dict[str, dict], counts: dict[str, int]
) -> Example:
    """One column of the picture; of each audio-visual type the scene's first question, some types a scene."""
    kinds: dict[tuple[str, str], Question] = {}
    for question in questions:
        if question.video == video and question.kind[0] == "Audio-Visual":
            kinds.setdefault(question.kind, question)
    turn = list(kinds.values())
    turn = (turn[number:] + turn[:number])[:QUESTIONS]
    asked = [
        Asked(" ".join(q.words) + "?", q.answer, {name: told[str(q.id)] for name, told in given.items()}) for q in turn
    ]
    heard = ["" if digit is None else str(digit) for digit in scene.spoken]
    return Example(av_digits_qa.picture("test", counts, number), heard, asked)
