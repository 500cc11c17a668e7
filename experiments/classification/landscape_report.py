"""From measurements to the table, CSV, JSON and pictures of a landscape."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments.classification.options import RunConfig
from experiments.classification.report import LABELS
from experiments.sweep.report import settings
from experiments.sweep.statistics import LEVEL, mean_and_deviation, p_value, seeds_in_words
from experiments.sweep.table import csv_text, table_lines
from iemf.analysis import landscape_plots
from iemf.analysis.style import NETWORK_LABELS, VARIANT_LABELS, WEIGHT_LABELS
from iemf.files import read_json, write_atomically
from iemf.training import RunFolder

OPTIONS = ("split", "samples", "span", "points", "plane_points", "fusion_radii", "radii", "ascent_steps", "eigenvalues",
           "iterations", "distance")  # fmt: skip
CELL = ("network", "method", "variant", "seed")
LOWER = "IEMF < vanilla"  # Heuristic 1


def quantities(record: dict) -> list[dict]:
    """A record's numbers, one a line: weights, quantity, at (ρ or rank; empty for others), value, products."""
    found = []
    for weights in WEIGHT_LABELS:
        sharp, spectrum = record["sharpness"][weights], record["eigenvalues"][weights]
        lines = [("loss", "", sharp["loss"]), ("norm", "", sharp["norm"])]
        lines += [("sharpness", radius, value) for radius, value in zip(sharp["radii"], sharp["values"], strict=True)]
        found += [{"weights": weights, "quantity": q, "at": at, "value": v, "products": ""} for q, at, v in lines]
        for rank, value in enumerate(spectrum["eigenvalues"], start=1):
            found.append({"weights": weights, "quantity": "eigenvalue", "at": rank, "value": value,
                          "products": spectrum["products"]})  # fmt: skip
    return found


def summarise(records: Sequence[dict]) -> list[dict]:
    """A record a method, network, weights and quantity: {variant: {seed: value}} under "values"."""
    rows: dict[tuple, dict] = {}
    for record in records:
        for line in quantities(record):
            key = (record["method"], record["network"], line["weights"], line["quantity"], line["at"])
            row = rows.setdefault(key, dict(zip(("method", "network", "weights", "quantity", "at"), key, strict=True)))
            row["products"] = line["products"]
            row.setdefault("values", {}).setdefault(record["variant"], {})[str(record["seed"])] = line["value"]
    return list(rows.values())


def spread(values: Sequence[float]) -> str:
    """ "mean ± deviation" with three significant digits; a dash for none."""
    if not values:
        return "–"
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.3g}" if deviation is None else f"{mean:.3g} ± {deviation:.2g}"


def differences(row: dict, less: str) -> list[float]:
    """IEMF − ``less``, seed by seed."""
    ours, theirs = row["values"].get("iemf", {}), row["values"].get(less, {})
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]


def below(values: Sequence[float]) -> str:
    """In how many seeds IEMF is lower, and p of the paired test."""
    if not values:
        return "–"
    told = f"{sum(value < 0 for value in values)} of {len(values)}"
    return told if len(values) < 2 else f"{told}, p {p_value(values):.2g}"


def name_of(row: dict) -> str:
    """How the table calls a quantity."""
    if row["quantity"] == "sharpness":
        return f"S(ρ = {row['at']:g})"
    return {"loss": "loss", "norm": "norm of the weights", "eigenvalue": f"λ{row['at']}"}[row["quantity"]]


def verdicts(summary: Sequence[dict]) -> str:
    """What Eq. 15 predicts, and in how many rows it was seen."""
    sharp = [row for row in summary if row["quantity"] == "sharpness"]
    told = f"Heuristic 1 (Eq. 15) predicts a lower S(ρ) for IEMF in each of the {len(sharp)} rows of sharpness; "
    told += "rows of one method and network are not independent of each other."
    for less in ("vanilla", "joint"):
        tested = [values for row in sharp if len(values := differences(row, less)) > 1]
        if tested:
            means = [(statistics.fmean(values), p_value(values) < LEVEL) for values in tested]
            told += f" Against {less}, of {len(tested)} rows the mean is lower in {sum(m < 0 for m, _ in means)} "
            told += f"({sum(m < 0 and sure for m, sure in means)} by a paired t-test at 5 %, uncorrected) and higher "
            told += f"in {sum(m > 0 for m, _ in means)} ({sum(m > 0 and sure for m, sure in means)})."
    return told


def how(records: Sequence[dict], options: dict) -> str:
    """How the eigenvalues were found."""
    told = []
    for network in landscape_plots.distinct(records, "network"):
        for weights, label in WEIGHT_LABELS.items():
            found = [record["eigenvalues"][weights] for record in records if record["network"] == network]
            products = found[0]["products"] + (
                f" (h = {options['distance']:g})" if "diff" in found[0]["products"] else ""
            )
            asymmetry = max(spectrum["asymmetry"] for spectrum in found)
            change = max(spectrum["change"] for spectrum in found)
            told.append(f"{network.upper()}, {label}: {products}, asymmetry up to {asymmetry:.1g}, last change of λ1 "
                        f"up to {change:.1g}")  # fmt: skip
    return "Eigenvalues by Lanczos' method. " + "; ".join(told) + "."


def markdown(summary: Sequence[dict], records: Sequence[dict], options: dict, about: str) -> str:
    """One row a method, network, weights and quantity; columns for variants, the prediction and what was seen."""
    variants = [v for v in VARIANT_LABELS if any(v in row["values"] for row in summary)]
    rows = []
    for row in summary:
        cells = [LABELS[row["method"]], row["network"].upper(), row["weights"], name_of(row)]
        cells += [spread(list(row["values"].get(variant, {}).values())) for variant in variants]
        cells += [
            LOWER if row["quantity"] == "sharpness" else "–",
            *(below(differences(row, v)) for v in ("vanilla", "joint")),
        ]
        rows.append(cells)
    header = ["method", "network", "weights", "quantity", *(VARIANT_LABELS[v] for v in variants), "Eq. 15 predicts",
              "IEMF below vanilla", "IEMF below joint"]  # fmt: skip
    return f"{table_lines(header, rows)}\n\n{about} {verdicts(summary)} {how(records, options)}"


def about(configs: Sequence[RunConfig], options: dict, unfinished: int) -> str:
    """What the numbers of the table are."""
    cells: dict[tuple, dict] = {}
    for config in configs:
        cells.setdefault(config.cell, {})[config.seed] = config
    example = configs[0]
    told = f"Fused cross-entropy in nats on {options['samples']} samples of {example.dataset}'s {options['split']} "
    told += f"split (all, if it has fewer), batch norm with running statistics; {seeds_in_words(cells)}. S(ρ): the "
    told += "largest rise found in a ball of radius ρ (Eq. 14), a lower bound. The last columns: in how many seeds "
    told += "IEMF is lower, and p of a paired t-test, two-sided, uncorrected; IEMF against joint is ξ alone. ResNet-18 "
    told += f"of width {example.width}, {example.epochs} epochs, best epoch's weights."
    return told + (f" {unfinished} run(s) are not finished and not counted." if unfinished else "")


def as_csv(records: Sequence[dict]) -> str:
    """One line a run and number; those of lines and planes are in the JSON."""
    names = ("weights", "quantity", "at", "value", "products")
    return csv_text([*CELL, *names], [[*(record[name] for name in CELL), *(line[name] for name in names)]
                                      for record in records for line in quantities(record)])  # fmt: skip


def as_json(content: dict) -> str:
    """Indented, but for the last level of lists: a plane has hundreds of numbers."""
    text = json.dumps({**content, "runs": None, "summary": None}, indent=2, allow_nan=False)
    for name in ("runs", "summary"):
        lines = ",\n    ".join(json.dumps(line, allow_nan=False) for line in content[name])
        text = text.replace(f'"{name}": null', f'"{name}": [\n    {lines}\n  ]')
    return text + "\n"


def write(
    records: Sequence[dict], configs: Sequence[RunConfig], options: dict, unfinished: int, out: Path
) -> str:  # fmt: skip
    """Write table, CSV, JSON and pictures into ``out`` and return the table as Markdown.

    Args:
        records: see :mod:`iemf.analysis.landscape_plots`.
        configs: of the same runs.
        options: those of OPTIONS.
        unfinished: runs that are not in the table.
    """
    summary = summarise(records)
    table = markdown(summary, records, options, about(configs, options, unfinished))
    write_atomically(out / "table.md", f"{table}\n")
    write_atomically(out / "landscape.csv", as_csv(records))
    shared = settings([(config, {}) for config in configs])
    classes = len(RunFolder(configs[0].out).results()["classes"])
    content = {"settings": shared | {"classes": classes}, "options": options, "summary": summary, "runs": records}
    write_atomically(out / "landscape.json", as_json(content))
    draw(out)
    return table


def draw(out: Path) -> None:
    """The pictures, from landscape.json in ``out`` alone."""
    content = read_json(out / "landscape.json")
    records, options, shared = content["runs"], content["options"], content["settings"]
    chance = math.log(shared["classes"])
    seeds = len(landscape_plots.distinct(records, "seed"))
    common = (
        f"{shared['dataset']}, {shared['epochs']} epochs, {options['split']} split, n = {seeds} seed(s), ± 1 deviation"
    )
    landscape_plots.lines(
        records, LABELS, chance, out / "lines.png", f"Loss along a random direction, filter-normalised\n{common}"
    )
    landscape_plots.sharpness_over_radius(
        records, LABELS, out / "sharpness.png", f"Largest rise of the loss within a ball (Eq. 14)\n{common}"
    )
    landscape_plots.top_eigenvalues(
        records, LABELS, out / "eigenvalues.png", f"Largest eigenvalues of the Hessian\n{common}"
    )
    looked_at = [record for record in records if "plane" in record]
    for network, method in dict.fromkeys((record["network"], record["method"]) for record in looked_at):
        found = landscape_plots.of_cell(looked_at, network=network, method=method)
        title = f"{NETWORK_LABELS[network]}, {LABELS[method]}, seed {found[0]['seed']}: loss on the same two random "
        title += "directions, filter-normalised"
        title += f"\n{shared['dataset']}, {shared['epochs']} epochs, {options['split']} split"
        landscape_plots.planes(found, chance, out / f"plane_{network}_{method}.png", title)
