"""From finished runs to cells: what every task's table and results.json are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.sweep.options import Run
from experiments.sweep.statistics import BySeed, Cell, comparisons_in_words, seeds_in_words, summary
from iemf.analysis.style import SHORT_VARIANT_LABELS
from iemf.files import write_atomically, write_json

Cells = dict[Cell, dict[int, dict]]  # {cell: {seed: results}}
Done = Sequence[tuple[Run, dict]]
OWN = (
    "task",
    "network",
    "method",
    "model",
    "balance",
    "variant",
    "blind",
    "iemf",
    "joint",
    "modality",
    "start",
    "start_digest",
    "seed",
    "out",
    "resume",
    "progress",
    "workers",
    "data_root",
    "cache",
    "paper",
)  # fmt: skip  what differs between the runs of a table, or between machines


def cells_of(done: Done) -> Cells:
    """By cell and seed."""
    cells: Cells = {}
    for run, results in done:
        cells.setdefault(run.cell, {})[run.seed] = results
    return cells


def values(cells: Mapping[Cell, Mapping[int, dict]], quantity: str) -> dict[Cell, BySeed]:
    """One number a cell and seed; runs that lack it are left out."""
    return {cell: {seed: results[quantity] for seed, results in by_seed.items() if results.get(quantity) is not None}
            for cell, by_seed in cells.items()}  # fmt: skip


def settings(done: Done) -> dict:
    """The options that the runs share, those of spiking and of IEMF runs included, for the record."""
    record: dict = {}
    for run, _ in done:
        for name, value in run.stored().items():
            if name not in OWN and value is not None:
                record.setdefault(name, value)
    return record


def summarise(cells: Cells, fields: Sequence[str], quantities: Sequence[str]) -> list[dict]:
    """A record a cell: what it is, n, the seeds, and mean, deviation and values of each quantity that its runs have.

    Args:
        cells: of the table.
        fields: names of a cell's parts.
        quantities: numbers in the results of a run.
    """
    records = []
    for cell, by_seed in cells.items():
        seeds = sorted(by_seed)
        record = {
            name: list(part) if isinstance(part, tuple) else part for name, part in zip(fields, cell, strict=True)
        }
        record |= {"n": len(seeds), "seeds": seeds}
        for quantity in quantities:
            numbers = [by_seed[seed][quantity] for seed in seeds if by_seed[seed].get(quantity) is not None]
            if numbers:
                record[quantity] = summary(numbers)
        records.append(record)
    return records


def write_results(done: Done, table: str, cells: Sequence[dict], out: Path) -> None:
    """Into a folder, made if missing: table.md, and results.json, the shared options and the cells."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "table.md", table + "\n")
    write_json(out / "results.json", {"settings": settings(done), "cells": list(cells)})


def note(cells: Cells, measures: Mapping[str, str], what: str, unfinished: int) -> str:
    """What stands below a table: what the numbers are, how they were made, and what their differences say.

    Args:
        cells: of the table.
        measures: {quantity: how a sentence names it; empty where a table has one}.
        what: its first words, and how the runs were trained.
        unfinished: runs that are not in the table.
    """
    told = what.format(seeds=seeds_in_words(cells))
    for quantity, name in measures.items():
        told += comparisons_in_words(values(cells, quantity), SHORT_VARIANT_LABELS, name)
    return told + (f" {unfinished} run(s) of the grid are not finished and not counted." if unfinished else "")


def variants_of(cells: Cells) -> list[str]:
    """In the order of the columns."""
    return [v for v in SHORT_VARIANT_LABELS if any(cell[2] == v for cell in cells)]
