"""From the finished runs of a unimodal gain to the table, CSV, JSON and picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.classification.options import ALONE, RunConfig
from experiments.classification.report import LABELS, schedule
from experiments.sweep.report import Cells, Done, settings, summarise, values
from experiments.sweep.statistics import detectable, difference, holm, p_value, plus_minus, seeds_in_words
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis.style import MODALITY_LABELS, SHORT_VARIANT_LABELS
from iemf.analysis.unimodal_gain_plot import accuracy_of_branches
from iemf.files import write_atomically, write_json
from iemf.training import RunFolder

ACCURACY, BEFORE = "test_accuracy", "test_accuracy_before"
LONGER, ON = "alone-longer", "alone-on"
BRANCHES = tuple(SHORT_VARIANT_LABELS)
COURSES = (ALONE, LONGER, ON, *BRANCHES)  # in the order of the table
BASES = (ON, LONGER, "vanilla", "joint")  # what a branch is compared with, other than itself and what comes behind it
FIELDS = ("network", "modality", "course")
VARYING = ("epochs", "lr", "schedule", "warmup", "lr_drop", "patience")
COLUMNS = (*FIELDS, "seed", "epochs", BEFORE, ACCURACY, "val_accuracy", "best_epoch", "firing_rate")


@dataclass(frozen=True)
class Courses:
    """What the runs of a table have gone through.

    Args:
        epochs: of the runs of both modalities.
        further: of training on alone.
        variants: {folder of a run of both modalities: its variant}.
    """

    epochs: int
    further: int
    variants: Mapping[Path, str]

    def of(self, run: RunConfig) -> str:
        """One of COURSES."""
        if run.start is None:
            return ALONE if run.epochs == self.epochs else LONGER
        return self.variants.get(run.start, ON)

    def of_epochs(self, course: str) -> str:
        """How many, in words."""
        if course == LONGER:
            return f"{self.epochs + self.further}"
        return f"{self.epochs}" if course == ALONE else f"{self.epochs} + {self.further}"

    def name(self, course: str) -> str:
        """In tables, without epochs."""
        return f"branch of {SHORT_VARIANT_LABELS[course]}" if course in BRANCHES else ALONE

    def label(self, course: str) -> str:
        """In tables."""
        return f"{self.name(course)}, {self.of_epochs(course)}"


def records(done: Done, courses: Courses) -> list[dict]:
    """One a run, in the order of the table: its course, what it had before it was trained on, and what came out."""
    rows = []
    for run, results in done:
        before = None if run.start is None else RunFolder(run.start).results()[f"test_accuracy_{run.modality}"]
        numbers = {name: results.get(name) for name in (ACCURACY, "val_accuracy", "best_epoch", "firing_rate")}
        rows.append({"network": run.network, "modality": run.modality, "course": courses.of(run), "seed": run.seed,
                     "epochs": run.epochs, BEFORE: before} | numbers)  # fmt: skip
    return sorted(rows, key=lambda row: (row["network"], row["modality"], COURSES.index(row["course"]), row["seed"]))


def cells_of(rows: Sequence[dict]) -> Cells:
    """{(network, modality, course): {seed: record}}."""
    cells: Cells = {}
    for row in rows:
        cells.setdefault(tuple(row[name] for name in FIELDS), {})[row["seed"]] = row
    return cells


def comparisons(cells: Cells) -> list[dict]:
    """Of each branch with each of BASES that stands before it in COURSES: the differences paired by seed; with two
    seeds or more the p-value of their t-test, that after Holm's correction over all tests against this base, and the
    smallest mean difference that this n would find in 80 of 100 cases."""
    accuracy, found = values(cells, ACCURACY), []
    for (network, modality, course), by_seed in accuracy.items():
        for base in BASES:
            if course in BRANCHES and COURSES.index(base) < COURSES.index(course):
                pairs = difference(by_seed, accuracy.get((network, modality, base), {}))
                if pairs:
                    several = len(pairs) > 1
                    found.append({"network": network, "modality": modality, "course": course, "against": base,
                                  "differences": pairs, "p": p_value(pairs) if several else None, "p_holm": None,
                                  "detectable": detectable(pairs) if several else None})  # fmt: skip
    for base in BASES:
        family = [record for record in found if record["against"] == base and record["p"] is not None]
        for record, p in zip(family, holm([record["p"] for record in family]), strict=True):
            record["p_holm"] = p
    return found


def told(record: Mapping | None) -> str:
    """A comparison in a table: mean ± deviation, and p."""
    if record is None:
        return "–"
    p = record["p_holm"]
    return plus_minus(record["differences"], signed=True) + ("" if p is None else f" (p {p:.3f})")


def markdown(rows: Sequence[dict], courses: Courses, below: str) -> str:
    """One row a network, modality and course; ``below``: what stands below."""
    cells = cells_of(rows)
    compared = {tuple(record[name] for name in (*FIELDS, "against")): record for record in comparisons(cells)}
    bases = [base for base in BASES if any(key[-1] == base for key in compared)]
    header = ["network", "modality", "trained, epochs", "before / %", "after / %"]
    header += [f"− {courses.name(base) if base in BRANCHES else courses.label(base)}" for base in bases]
    lines = []
    for cell, by_seed in cells.items():
        before, after = ([r[name] for r in by_seed.values() if r[name] is not None] for name in (BEFORE, ACCURACY))
        line = [cell[0].upper(), MODALITY_LABELS[cell[1]], courses.label(cell[2]), *map(plus_minus, (before, after))]
        lines.append(line + [told(compared.get((*cell, base))) for base in bases])
    return "\n".join([table_lines(header, lines), "", below])


def note(done: Done, rows: Sequence[dict], courses: Courses, method: str, unfinished: int) -> str:
    """What stands below the table."""
    cells, example = cells_of(rows), done[0][0]
    parts = [
        f"Test accuracy in % of one modality, {seeds_in_words(cells)}. {example.dataset}, ResNet-18 of width "
        f"{example.width}, stem {example.stem}.",
        f"Branch: encoder and head of a modality, of the best epoch of a network that was trained on both with "
        f"{LABELS[method]} for {courses.epochs} epochs, then trained on that modality alone for {courses.further}.",
        f"Alone: a network that never saw the other modality, of the same seed, for {courses.epochs} epochs; for as "
        f"many as both together, in one course; or trained on as the branches were.",
        "Before: of the head as it was taken over, in branches of vanilla a probe.",
    ]
    for what, is_of in (("Alone", lambda run: run.start is None), ("Trained on", lambda run: run.start is not None)):
        if run := next((run for run, _ in done if is_of(run)), None):
            course = schedule(run).partition(" epochs, ")[2]
            parts.append(f"{what}: {course}.")
    parts.append("The epoch is chosen on validation, test is read once.")
    if max(map(len, cells.values())) > 1:
        parts.append("p: paired t-test, two-sided, after Holm's correction over its column.")
    parts.append("The paper's Fig. 2 d is a picture: no published numbers to set beside these are known to us.")
    if unfinished:
        parts.append(f"{unfinished} run(s) are not finished and not counted.")
    return " ".join(parts)


def as_csv(rows: Sequence[dict]) -> str:
    """One line a run."""
    return csv_text(list(COLUMNS), [["" if row[name] is None else row[name] for name in COLUMNS] for row in rows])


def draw(rows: Sequence[dict], courses: Courses, path: Path, title: str) -> None:
    """From records alone."""
    labels = {course: f"{SHORT_VARIANT_LABELS.get(course, ALONE)}\n{courses.of_epochs(course)}" for course in COURSES}
    accuracy_of_branches(rows, labels, path, title)


def write(courses: Courses, method: str, done: Done, out: Path, unfinished: int) -> str:
    """Write the four files into ``out`` and return the table as Markdown."""
    rows = records(done, courses)
    cells, example = cells_of(rows), done[0][0]
    table = markdown(rows, courses, note(done, rows, courses, method, unfinished))
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "table.md", f"{table}\n")
    own = {"method": method, "epochs_of_both": courses.epochs, "epochs_further": courses.further}
    shared = {name: value for name, value in settings(done).items() if name not in VARYING}
    content = {"settings": own | shared, "cells": summarise(cells, FIELDS, (BEFORE, ACCURACY, "firing_rate")),
               "comparisons": comparisons(cells), "runs": rows}  # fmt: skip
    write_json(out / "unimodal_gain.json", content)
    write_atomically(out / "unimodal_gain.csv", as_csv(rows))
    seeds = max(map(len, cells.values()))
    title = f"{example.dataset}, one modality alone; branches of {LABELS[method]}, n = {seeds} seed(s)"
    draw(rows, courses, out / "unimodal_gain.png", title + (", ± 1 deviation" if seeds > 1 else ""))
    return table
