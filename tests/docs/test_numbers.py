"""Tables and findings of the pages are computed from the results."""

import csv
import json
import re
from statistics import fmean, stdev

import pytest
from scipy.stats import ttest_1samp

import iemf
from tests.docs.pages import PAGES, README, RESULTS, SNIPPET


def test_every_measured_table_is_shown_and_every_shown_table_is_there():
    shown = {name for text in PAGES.values() for name in SNIPPET.findall(text)} - {"README.md"}
    measured = {path.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("*.md")}
    assert shown == measured
    assert SNIPPET.findall(PAGES["docs/index.md"]) == ["README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_no_measured_number_was_copied_into_a_table(page):
    rows = [line for line in PAGES[page].splitlines() if line.startswith("|")]
    assert not [row for row in rows if "±" in row]


def cells(folder: str, quantity: str) -> dict[tuple[str, str, str], dict[int, float]]:
    """{(network, method or model, variant): {seed: number}}, blind models aside."""
    found = {}
    for cell in json.loads((RESULTS / folder / "results.json").read_text(encoding="utf-8"))["cells"]:
        if cell.get("blind"):
            continue
        by_run = {run["seed"]: run[quantity] for run in cell.get("runs", ())}
        by_seed = by_run or dict(zip(cell["seeds"], cell[quantity]["values"], strict=True))
        found[cell["network"], cell.get("method") or cell["model"], cell["variant"]] = by_seed
    return found


FINDINGS = (
    ("classification, accuracy", "av_digits", "ann", "test_accuracy"),
    ("classification, accuracy", "av_digits", "snn", "test_accuracy"),
    ("class-incremental, AIA", "continual", "ann", "mean_accuracy"),
    ("class-incremental, AIA", "continual", "snn", "mean_accuracy"),
    ("question answering, accuracy", "avqa", "ann", "test_accuracy"),
    ("question answering, accuracy", "avqa_snn", "snn", "test_accuracy"),
)


def differences(folder: str, network: str, quantity: str, more: str, less: str) -> list[list[float]]:
    """A list a row of the task's table, of differences paired by seed."""
    measured = cells(folder, quantity)
    names = [name for of, name, variant in measured if of == network and variant == more]
    pairs = [(measured[network, name, more], measured[network, name, less]) for name in names]
    return [[ours[seed] - theirs[seed] for seed in ours] for ours, theirs in pairs]


def told(rows: list[list[float]]) -> str:
    """As the README words it."""
    means = [fmean(row) for row in rows]
    span = f"{min(means):+.2f} to {max(means):+.2f}" if len(rows) > 1 else f"{means[0]:+.2f}"
    passed = [mean for mean, row in zip(means, rows, strict=True) if ttest_1samp(row, 0).pvalue < 0.05]
    return f"{span}; {sum(mean > 0 for mean in passed)} gain, {sum(mean < 0 for mean in passed)} lose"


def test_the_findings_are_computed_from_the_results():
    """To mend it after new results, copy the rows that the message shows."""
    rows = []
    for name, folder, network, quantity in FINDINGS:
        joint = differences(folder, network, quantity, "joint", "vanilla")
        effect = differences(folder, network, quantity, "iemf", "joint")
        n = f"{len(joint)} x {len(joint[0])}"
        rows.append(f"| {name} | {network.upper()} | {n} | {told(joint)} | {told(effect)} |")
    assert "\n".join(rows) in README


def test_how_many_runs_are_best_at_their_last_epoch():
    with open(RESULTS / "av_digits" / "results.csv", encoding="utf-8") as file:
        best = [int(row["best_epoch"]) for row in csv.DictReader(file)]
    assert f"{best.count(max(best))} of the {len(best)} classification runs" in " ".join(README.split())


def test_no_row_gains_by_the_coefficient():
    """What the README says in bold."""
    assert "No row shows a gain of ξ" in README
    assert all(", ".join(told(differences(*rest, "iemf", "joint")).split("; ")[1:]).startswith("0 gain")
               for _, *rest in FINDINGS)  # fmt: skip


def test_both_models_beat_the_blind_ones_by_the_margin_of_the_page():
    """Audio-visual questions, every network, variant and seed."""
    stored = json.loads((RESULTS / "avqa" / "results.json").read_text(encoding="utf-8"))["cells"]
    means = {bool(cell["blind"]): [] for cell in stored}
    for cell in stored:
        values = cell["test_accuracy_by_type"]["av_avg"]["values"]
        means[bool(cell["blind"])].append(dict(zip(cell["seeds"], values, strict=True)))
    margins = [[row[seed] - max(blind[seed] for blind in means[True]) for seed in row] for row in means[False]]
    assert len(margins) == 6
    assert all(len(row) == 3 for row in margins)
    assert min(map(min, margins)) > 9
    found = sorted(sum(row) / 3 for row in margins)
    assert f"{found[0]:.1f} to {found[-1]:.1f} points ahead of the best blind baseline" in PAGES["docs/avqa.md"]


def test_what_twice_the_epochs_change_is_computed_from_both_results():
    """Concat, paired by seed, as the page has it."""
    page = " ".join(PAGES["docs/results.md"].split())
    found = {}
    for network in ("snn", "ann"):
        for variant in ("vanilla", "joint", "iemf"):
            cell = network, "concat", variant
            short, long = (cells(folder, "test_accuracy")[cell] for folder in ("av_digits", "longer"))
            changes = [long[seed] - short[seed] for seed in long]
            assert len(changes) == 3
            found[network, variant] = f"{fmean(changes):+.1f} ± {stdev(changes):.1f}"
    for network in ("snn", "ann"):
        assert f"{network.upper()} {found[network, 'vanilla']}" in page
    assert all(text in page for text in found.values()), found


def test_the_coefficients_of_the_page_are_what_the_code_computes():
    header, _, values = re.search(r"^\| S_uni/S_av .*?\n\n", PAGES["docs/method.md"], re.MULTILINE | re.DOTALL)[
        0
    ].splitlines()[:3]
    ratios, xis = ([float(cell) for cell in line.split("|")[2:-1]] for line in (header, values))
    assert len(ratios) == 7
    for ratio, xi in zip(ratios, xis, strict=True):
        assert float(iemf.inverse_effectiveness(ratio, 1.0)) == pytest.approx(xi, abs=5e-5)
