"""One self-contained page for folders of runs of any task, as HTML and as Markdown.

    python -m experiments.report --folders runs/av-digits runs/robustness --out runs/report

Of each folder: its tables, its pictures, the validation curves and configurations of its runs, and what they were made
with. Folders without runs (of robustness, costs, ...) have tables and pictures alone. The HTML needs no other file and
no network. Nothing is computed anew, and folders are only read.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from experiments.sweep import html
from experiments.sweep.table import table_lines
from iemf.analysis.curves_plot import validation_curves
from iemf.errors import UserError
from iemf.files import write_atomically
from iemf.training import RunFolder
from iemf.training.record import FREE_FIELDS

CAPTIONS = {
    "accuracy": "Test accuracy of each method, network and variant.",
    "xi_over_epochs": "Validation accuracy, and ξ, over epochs.",
    "firing_rates": "Firing rates and silent neurons of each layer, from input to output.",
    "robustness": "Test accuracy over the signal-to-noise ratio of one modality.",
    "multisensory_gain": "What the fusion adds to the better modality, over how strong the modalities alone are.",
    "spikes": "Accuracy, firing rate and estimated energy over the number of time steps.",
    "unimodal_gain": "Test accuracy of one modality alone: networks of its own, and branches of fused networks.",
    "cost": "Operations saved on the way to the same errors.",
    "average_accuracy": "Average accuracy over the classes seen so far, task after task.",
    "accuracy_and_forgetting": "Mean accuracy and average forgetting.",
    "accuracy_by_type": "Accuracy of each type of question.",
    "scenes": "Scenes, questions and answers.",
    "curves": "Validation accuracy of every run over epochs.",
}
OF_RUN = ("test_accuracy", "val_accuracy", "best_epoch", "xi", "firing_rate", "seconds_this_session")
ENVIRONMENT = ("device", "torch")


@dataclass(frozen=True)
class ReportConfig:
    """One page of the tables, pictures, curves and configurations of finished runs."""

    folders: tuple[Path, ...]
    """The --out of sweeps and of programs that read them, a section each."""
    out: Path = Path("runs/report")
    title: str = "Report"


class Run(NamedTuple):
    """A run of a folder: its name, its stored options, its results (None: not finished) and its epochs."""

    name: str
    config: dict
    results: dict | None
    history: list[dict]


class Section(NamedTuple):
    """What a page has of one folder."""

    name: str
    tables: str  # Markdown
    pictures: list[tuple[str, bytes]]  # name, PNG
    runs: list[Run]


def runs_of(folder: Path) -> list[Run]:
    """Those of ``folder``/runs, by name."""
    found = [RunFolder(file.parent) for file in sorted((folder / "runs").glob("*/config.json"))]
    return [Run(run.path.name, run.read_config(), run.results(), run.metrics()) for run in found]


def section_of(folder: Path) -> Section:
    """What a folder has.

    Raises:
        UserError: neither a table, nor a picture, nor a run.
    """
    runs = runs_of(folder)
    table = folder / "table.md"
    pictures = [(file.stem, file.read_bytes()) for file in sorted(folder.glob("*.png"))]
    if not (runs or pictures or table.is_file()):
        raise UserError(f"{folder} holds no table.md, picture or runs; `folders` are the `out` of other programs")
    order = [*CAPTIONS, *(name for name, _ in pictures)]
    pictures.sort(key=lambda picture: order.index(picture[0]))
    if any(len(run.history) > 1 for run in runs):
        pictures.append(("curves", validation_curves([(run.name, run.config, run.history) for run in runs])))
    return Section(folder.name, table.read_text(encoding="utf-8") if table.is_file() else "", pictures, runs)


def shared_and_own(runs: Sequence[Run]) -> tuple[dict, dict[str, dict]]:
    """(options that all runs have alike, {run: its others})."""
    plain = {run.name: {k: v for k, v in run.config.items() if k not in FREE_FIELDS} for run in runs}
    first = next(iter(plain.values()), {})
    shared = {k: v for k, v in first.items() if all(k in other and other[k] == v for other in plain.values())}
    return shared, {name: {k: v for k, v in own.items() if k not in shared} for name, own in plain.items()}


def table_of_runs(runs: Sequence[Run]) -> str:
    """One row a run, unfinished ones too."""
    columns = [name for name in OF_RUN if any((run.results or {}).get(name) is not None for run in runs)]

    def told(value: object) -> str:
        return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    rows = [[run.name, *(told(run.results.get(c)) for c in columns)] if run.results is not None
            else [f"{run.name} (not finished)", *("–" for _ in columns)] for run in runs]  # fmt: skip
    return table_lines(["run", *(name.replace("_", " ") for name in columns)], rows)


def options_table(options: dict) -> str:
    """One row an option, its value as JSON."""
    return table_lines(["option", "value"], [[name, as_json(value)] for name, value in sorted(options.items())])


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def environment_of(runs: Sequence[Run]) -> dict[str, list]:
    """What the runs were made with."""
    return {name: sorted({str(run.results[name]) for run in runs if run.results and name in run.results})
            for name in ENVIRONMENT}  # fmt: skip


def markdown(section: Section, pictures: str) -> str:
    """A section as Markdown; ``pictures``: the folder of its pictures, beside the page."""
    parts = [f"## {section.name}", section.tables.strip()]
    parts += [f"![{caption(name)}]({pictures}/{name}.png)" for name, _ in section.pictures]
    if section.runs:
        shared, own = shared_and_own(section.runs)
        parts += ["### Runs", table_of_runs(section.runs), "### Options of all runs", options_table(shared)]
        parts += ["### Options of each run", *(f"{name}: `{as_json(of)}`" for name, of in own.items())]
        parts += ["### Made with", options_table(environment_of(section.runs))]
    return "\n\n".join(part for part in parts if part)


def as_html(section: Section) -> str:
    """A section as HTML, pictures inside."""
    parts = [html.heading(section.name), html.of_markdown(section.tables)]
    for name, png in section.pictures:
        parts.append(html.figure(base64.b64encode(png).decode(), caption(name)))
    if section.runs:
        shared, own = shared_and_own(section.runs)
        details = {"Runs": table_of_runs(section.runs), "Options of all runs": options_table(shared),
                   "Made with": options_table(environment_of(section.runs))}  # fmt: skip
        parts += [html.details(name, html.of_markdown(table)) for name, table in details.items()]
        each = table_lines(["run", "its own options"], [[name, as_json(of)] for name, of in own.items()])
        parts.append(html.details("Options of each run", html.of_markdown(each)))
    return "\n".join(parts)


def caption(name: str) -> str:
    return CAPTIONS.get(name, name.replace("_", " "))


def main(config: ReportConfig) -> None:
    """Read, and write report.html, report.md and the pictures of the latter."""
    if not config.folders:
        raise UserError("`folders` names none; name the `out` of one sweep or more")
    sections, out = [section_of(folder.expanduser()) for folder in config.folders], config.out.expanduser()
    told = []
    for number, section in enumerate(sections, start=1):
        place = f"pictures/{number}"
        (out / place).mkdir(parents=True, exist_ok=True)
        for name, png in section.pictures:
            (out / place / f"{name}.png").write_bytes(png)
        told.append(markdown(section, place))
    write_atomically(out / "report.md", f"# {config.title}\n\n" + "\n\n".join(told) + "\n")
    write_atomically(out / "report.html", html.page(config.title, [s.name for s in sections], map(as_html, sections)))
    print(f"Written to {config.out}: report.html, report.md")
