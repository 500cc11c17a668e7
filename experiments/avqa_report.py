"""From finished question-answering runs to tables, JSON, three radar charts and a picture of scenes."""

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments import avqa_data, published
from experiments.avqa_options import AVQARun
from experiments.report import plus_minus, seeds_in_words, table_lines
from iemf.analysis import avqa_plots
from iemf.analysis.avqa_plots import MODEL_LABELS, Asked, Chart, Example
from iemf.avqa import av_digits_qa
from iemf.avqa.accuracy import COLUMNS, OVERALL
from iemf.avqa.digit_scenes import Scene
from iemf.avqa.questions import Question
from iemf.errors import UserError
from iemf.files import read_json, write_atomically, write_json

Cell = tuple[str, str, str, tuple[str, ...]]  # network, model, variant, blind to
VARIANTS = {"vanilla": "vanilla", "joint": "joint (ξ = 1)", "iemf": "IEMF"}
SHORT_VARIANTS = {"vanilla": "vanilla", "joint": "joint", "iemf": "IEMF"}
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


def write(done: Sequence[tuple[AVQARun, dict]], out: Path) -> str:
    """Write everything into ``out`` and return the tables as Markdown."""
    cells: dict[Cell, dict[int, dict]] = {}
    for run, results in done:
        cells.setdefault((run.network, run.model, run.variant, run.blind), {})[run.seed] = results
    example = done[0][0]
    table = markdown(cells, example)
    write_atomically(out / "table.md", table + "\n")
    summary = [
        {"network": network, "model": model, "variant": variant, "blind": list(blind),
         "runs": [by_seed[seed] for seed in sorted(by_seed)]}
        for (network, model, variant, blind), by_seed in cells.items()
    ]  # fmt: skip
    write_json(out / "results.json", {"settings": settings(example), "cells": summary})
    seeing = {cell[:3]: {name: values(by_seed, name) for name in next(iter(by_seed.values()))["test_accuracy_by_type"]}
              for cell, by_seed in cells.items() if not cell[3]}  # fmt: skip
    title = f"{example.dataset}, {example.epochs} epochs, n = {max(map(len, cells.values()))} seed(s)"
    if seeing and all(set(measured) == set(COLUMNS) for measured in seeing.values()):
        avqa_plots.radar(seeing, CHARTS, out / "accuracy_by_type.png", title)
    if example.dataset == "av-digits-qa":
        draw_scenes(done, out / "scenes.png")
    return table


def values(by_seed: dict[int, dict], column: str) -> list[float]:
    """One a seed."""
    return [results["test_accuracy_by_type"][column] for results in by_seed.values()]


def settings(example: AVQARun) -> dict:
    """The options that the runs share."""
    own = ("network", "model", "variant", "blind", "seed", "out", "progress", "paper")
    return {name: value for name, value in example.stored().items() if name not in own}


def label(cell: Cell) -> list[str]:
    """First columns of a row."""
    network, model, variant, blind = cell
    return [MODEL_LABELS[model], network.upper(), BLIND_LABELS[blind] if blind else VARIANTS[variant]]


def markdown(cells: dict[Cell, dict[int, dict]], example: AVQARun) -> str:
    """Table S5's columns, a row a cell; what ξ itself changes; how far the blind are behind."""
    columns = [
        name
        for name in COLUMNS
        if all(name in r["test_accuracy_by_type"] for by in cells.values() for r in by.values())
    ]
    rows = [[*label(cell), *(plus_minus(values(by_seed, name)) for name in columns)] for cell, by_seed in cells.items()]
    if example.dataset == "music-avqa":
        rows += [["paper: " + MODEL_LABELS[model], "ANN", VARIANTS[variant], *(f"{row[name]:.2f}" for name in columns)]
                 for (model, variant), row in published.avqa().items()]  # fmt: skip
    parts = [table_lines(["model", "network", "variant", *(SHORT[name] for name in columns)], rows)]
    if differences := compared(cells, columns):
        parts.append(differences)
    seeds = sorted({seed for by_seed in cells.values() for seed in by_seed})
    note = "Test accuracy in %, A, V, AV and all: averages over questions; "
    note += f"{seeds_in_words(seeds, [len(by_seed) for by_seed in cells.values()])}. {example.dataset}, recipe "
    note += f"{example.recipe}, {example.epochs} epochs, {example.optimizer} with lr {example.lr:g}"
    note += f", a tenth of it every {example.drop_every} epochs" if example.drop_every else ""
    note += "; validation chooses the epoch, test is read after it."
    if unknown := next(iter(next(iter(cells.values())).values()))["unknown_answers"]:
        note += f" {unknown} test answers never occur in train and count as wrong."
    return "\n\n".join([*parts, note])


def compared(cells: dict[Cell, dict[int, dict]], columns: Sequence[str]) -> str | None:
    """Differences paired by seed: joint − vanilla, IEMF − joint, and to the best blind baseline of the seed."""
    blind = [by_seed for cell, by_seed in cells.items() if cell[3]]
    shown = [name for name in ("a_avg", "v_avg", "av_avg", OVERALL) if name in columns]
    rows = []
    for (network, model, variant, cannot), by_seed in cells.items():
        if cannot:
            continue
        before = {"joint": "vanilla", "iemf": "joint"}.get(variant)
        against = {"best blind": blind} if blind else {}
        if (other := cells.get((network, model, before, ()))) is not None:
            against[before] = [other]
        for name, others in against.items():
            first = label((network, model, variant, ()))[:2]
            rows.append([*first, f"{SHORT_VARIANTS[variant]} − {name}", *difference(by_seed, others, shown)])
    return table_lines(["model", "network", "difference", *(SHORT[name] for name in shown)], rows) if rows else None


def difference(by_seed: dict[int, dict], others: Sequence[dict[int, dict]], columns: Sequence[str]) -> list[str]:
    """Of each column, to the best of the others of the same seed."""
    told = []
    for name in columns:
        shared = [seed for seed in by_seed if all(seed in other for other in others)]
        told.append(plus_minus(
            [by_seed[s]["test_accuracy_by_type"][name] - max(o[s]["test_accuracy_by_type"][name] for o in others)
             for s in shared], signed=True,
        ))  # fmt: skip
    return told


def draw_scenes(done: Sequence[tuple[AVQARun, dict]], path: Path) -> None:
    """The first test scenes, an audio-visual question of each of some types, and what a run of each model answers."""
    chosen: dict[str, AVQARun] = {}
    for run, _ in done:  # of the first seed; the last variant, so IEMF where there is one
        if not run.blind and run.network == done[0][0].network and run.seed == done[0][0].seed:
            chosen[f"{MODEL_LABELS[run.model]}, {VARIANTS[run.variant]}"] = run
    by_model = {run.model: (name, run) for name, run in chosen.items()}
    given = {name: read_json(run.out / "predictions.json") for name, run in by_model.values()}
    example_run = done[0][0]
    if not avqa_data.is_made(example_run.cache):
        return  # the table is made from finished runs alone, and their data have gone
    try:
        data = avqa_data.load(example_run.dataset, None, example_run.cache)
    except UserError as error:
        print(f"avqa: no picture of scenes: {error}", file=sys.stderr)
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
