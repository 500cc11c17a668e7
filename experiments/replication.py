"""Does it replicate? Claim by claim: the paper's number, what was measured here, and the verdict that follows from it.

    python -m experiments.replication            writes experiments/results/replication/table.md, which the page has

Everything measured is read from experiments/results; differences are paired by seed, each seed's being the mean over
the methods and networks named, tested against 0 by a t-test, and corrected by Holm's method over all tested claims.
"""

import csv
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.sweep import published
from experiments.sweep.statistics import LEVEL, detectable, holm, p_value, plus_minus
from experiments.sweep.table import table_lines
from iemf.files import write_atomically

PUBLISHED = ("crema-d", "kinetics-sounds", "urbansound8k-av")
RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "replication" / "table.md"
Record = dict  # network, method (or model), variant, seed, and numbers
Pick = Callable[[Record], bool]


class Claim(NamedTuple):
    """What the paper says and where, its number and n, the unit, and the differences by seed here.

    ``better``: +1 where the paper's effect is above 0, -1 below, 0 where it is "no worse". ``measured``: None where
    there is nothing to read.
    """

    what: str
    where: str
    paper: str
    n: str
    unit: str
    measured: Callable[[], list[float]] | None
    better: int = 1
    instead: str = ""  # why it is not measured here


def of_csv(name: str) -> list[Record]:
    """Of results/<name>: numbers as such; [] if it is not there."""
    file = RESULTS / name
    if not file.exists():
        return []
    rows = []
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        text = ("network", "method", "variant", "modality")
        rows.append({k: v if k in text or v == "" else float(v) for k, v in row.items()})
    return rows


def of_json(*names: str) -> list[Record]:
    """Of the cells of results/<name>, a record a seed; those of blind baselines aside."""
    records = []
    for name in names:
        file = RESULTS / name
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"] if file.exists() else []
        for cell in cells:
            if cell.get("blind"):
                continue
            numbers = {k: v["values"] for k, v in cell.items() if isinstance(v, dict) and "values" in v}
            for place, seed in enumerate(cell["seeds"]):
                own = {k: values[place] for k, values in numbers.items() if len(values) == cell["n"]}
                method = cell.get("method") or cell.get("model")
                records.append({"network": cell["network"], "method": method, "variant": cell["variant"],
                                "seed": seed} | own)  # fmt: skip
    return records


def differences(records: Iterable[Record], quantity: str, more: dict, less: dict, where: Pick = lambda _: True) -> list:
    """One number a seed: ``quantity`` of the records like ``more`` minus that of their partners like ``less``.

    Partners agree in everything that ``more`` and ``less`` do not name; a seed has the mean over its pairs.

    >>> records = [{"network": n, "variant": v, "seed": 0, "a": a} for n, v, a in
    ...            (("ann", "iemf", 3), ("ann", "joint", 1), ("snn", "iemf", 5), ("snn", "joint", 4))]
    >>> differences(records, "a", {"variant": "iemf"}, {"variant": "joint"})
    [1.5]
    """
    keys = [key for key in ("network", "method", "variant", "modality", "snr") if key not in more]
    values = {side: {(r["seed"], *(r.get(key) for key in keys)): r[quantity] for r in records
                     if where(r) and all(r.get(k) == v for k, v in wanted.items())}
              for side, wanted in (("more", more), ("less", less))}  # fmt: skip
    by_seed: dict = {}
    for key, value in values["more"].items():
        if key in values["less"]:
            by_seed.setdefault(key[0], []).append(value - values["less"][key])
    return [statistics.fmean(by_seed[seed]) for seed in sorted(by_seed)]


def variant_claim(name: str, quantity: str, less: str, where: Pick = lambda _: True) -> Callable[[], list[float]]:
    """IEMF minus another variant, from a file of results."""
    read = of_csv if name.endswith(".csv") else of_json
    return lambda: differences(read(name), quantity, {"variant": "iemf"}, {"variant": less}, where)


def ann(record: Record) -> bool:
    return record["network"] == "ann"


def snn(record: Record) -> bool:
    return record["network"] == "snn"


def mean_and_range(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})"


def paper_gain(network: str) -> str:
    """IEMF - vanilla in Table S2 or S3."""
    return mean_and_range([of[n, m, "iemf"] - of[n, m, "vanilla"] for of in map(published.accuracies, PUBLISHED)
                           for n, m, v in of if (n, v) == (network, "iemf")])  # fmt: skip


def paper_network_gap() -> str:
    """SNN - ANN with IEMF in Tables S2 and S3."""
    return mean_and_range([of["snn", m, "iemf"] - of["ann", m, "iemf"] for of in map(published.accuracies, PUBLISHED)
                           for n, m, v in of if (n, v) == ("snn", "iemf")])  # fmt: skip


def paper_over_joint() -> str:
    """IEMF - joint on Kinetics-Sounds as ANN: Table S2 beside Fig. 2 c2."""
    of = published.accuracies(published.FIGURE_2_DATASET)
    methods = [method for network, method, variant in of if (network, variant) == ("ann", "joint")]
    return mean_and_range([of["ann", method, "iemf"] - of["ann", method, "joint"] for method in methods])


def paper_continual(place: int) -> str:
    """IEMF - vanilla in Table S4; place 0: accuracy, 1: forgetting."""
    numbers = [published.continual(d) for d in ("ave-ci", "k-s-ci", "vs100-ci")]
    pairs = [(of[m, "iemf"], of[m, "vanilla"]) for of in numbers for m, v in of if v == "iemf"]
    return mean_and_range([more[place] - less[place] for more, less in pairs])


def paper_avqa() -> str:
    """IEMF - vanilla, all questions, in Table S5."""
    of = published.avqa()
    return ", ".join(f"{of[m, 'iemf']['overall'] - of[m, 'vanilla']['overall']:+.2f}" for m, v in of if v == "iemf")


def paper_cost() -> str:
    """Least and most of Fig. 2 g."""
    saved = published.cost_reductions().values()
    return f"{min(saved):.1f} to {max(saved):.1f}"


def saved(less: str) -> list[float]:
    """Percent of FLOPs that IEMF saves against another variant, a seed; mean over methods, ANN."""
    rows = {(r["method"], r["variant"], r["seed"]): r["flops"] for r in of_csv("cost/cost.csv") if ann(r)}
    by_seed: dict[float, list[float]] = {}
    for (method, variant, seed), flops in rows.items():
        if variant == "iemf" and (method, less, seed) in rows:
            by_seed.setdefault(seed, []).append(100 * (1 - flops / rows[method, less, seed]))
    return [statistics.fmean(by_seed[seed]) for seed in sorted(by_seed)]


ACCURACY, POINTS, PERCENT = "test_accuracy", "points", "%"
GRID, NOISE, CONTINUAL, QA = (
    "av_digits/results.csv",
    "robustness/robustness.csv",
    "continual/results.json",
    "avqa/results.json",
)
UNSAID, SEEDS = "not said", "3 seeds"
NOT_HAD = "they could not be had here"
CLAIMS = (
    Claim("IEMF raises the accuracy of ANNs", "Table S2", paper_gain("ann"), UNSAID, POINTS,
          variant_claim(GRID, ACCURACY, "vanilla", ann)),
    Claim("IEMF raises the accuracy of SNNs", "Table S3", paper_gain("snn"), UNSAID, POINTS,
          variant_claim(GRID, ACCURACY, "vanilla", snn)),
    Claim("ξ raises it beyond joint learning, ANN", "Fig. 2 c2, Table S2", paper_over_joint(), UNSAID, POINTS,
          variant_claim(GRID, ACCURACY, "joint", ann)),
    Claim("ξ raises it beyond joint learning, SNN", "no number", "–", "–", POINTS,
          variant_claim(GRID, ACCURACY, "joint", snn)),
    Claim("with IEMF the SNN is no worse than the ANN", "Tables S2, S3", paper_network_gap(), UNSAID, POINTS,
          lambda: differences(of_csv(GRID), ACCURACY, {"network": "snn"}, {"network": "ann"},
                              lambda r: r["variant"] == "iemf"), better=0),
    Claim("IEMF saves training, ANN", "Fig. 2 g", paper_cost(), UNSAID, PERCENT, lambda: saved("vanilla")),
    Claim("ξ saves training beyond joint learning, ANN", "no number", "–", "–", PERCENT, lambda: saved("joint")),
    Claim("IEMF bears noise better", "text", "no number", UNSAID, POINTS, variant_claim(NOISE, ACCURACY, "vanilla")),
    Claim("ξ bears noise better than joint learning", "no number", "–", "–", POINTS,
          variant_claim(NOISE, ACCURACY, "joint")),
    Claim("IEMF raises accuracy over tasks (AIA)", "Table S4", paper_continual(0), SEEDS, POINTS,
          variant_claim(CONTINUAL, "mean_accuracy", "vanilla")),
    Claim("ξ raises it beyond joint learning (AIA)", "no number", "–", "–", POINTS,
          variant_claim(CONTINUAL, "mean_accuracy", "joint")),
    Claim("IEMF slows forgetting (AFR)", "Table S4", paper_continual(1), SEEDS, POINTS,
          variant_claim(CONTINUAL, "average_forgetting", "vanilla"), better=-1),
    Claim("ξ slows it beyond joint learning (AFR)", "no number", "–", "–", POINTS,
          variant_claim(CONTINUAL, "average_forgetting", "joint"), better=-1),
    Claim("IEMF answers more questions", "Table S5", paper_avqa(), UNSAID, POINTS,
          variant_claim(QA, ACCURACY, "vanilla")),
    Claim("ξ answers more than joint learning", "readme: 71.36 − 70.71", "+0.65", "1", POINTS,
          variant_claim(QA, ACCURACY, "joint")),
    Claim("all of it on the paper's data sets",
          "Tables S2 to S5", "–", "–", "", None, instead=NOT_HAD),
)  # fmt: skip


def verdict(values: Sequence[float], corrected: float, better: int) -> str:
    """In words, at 5 % after Holm's correction."""
    if better == 0:
        return "contradicted" if corrected < LEVEL and statistics.fmean(values) < 0 else "not contradicted"
    if corrected >= LEVEL:
        return "not seen"
    return "seen" if statistics.fmean(values) * better > 0 else "contradicted"


def markdown(claims: Sequence[Claim] = CLAIMS) -> str:
    """One row a claim."""
    measured = {claim.what: claim.measured() for claim in claims if claim.measured is not None}
    tested = {what: values for what, values in measured.items() if len(values) > 1}
    corrected = dict(zip(tested, holm([p_value(values) for values in tested.values()]), strict=True))
    rows = []
    for claim in claims:
        values, what = measured.get(claim.what, []), claim.what
        if what in tested:
            found = [f"**{verdict(values, corrected[what], claim.better)}**", claim.paper,
                     f"{plus_minus(values, signed=True)} {claim.unit}", str(len(values)), f"{corrected[what]:.3f}",
                     f"{detectable(values):.1f}"]  # fmt: skip
        else:
            found = [f"cannot be tested: {claim.instead or 'no results yet'}", claim.paper, "–", "–", "–", "–"]
        rows.append([what, *found, claim.n, claim.where])
    header = ["claim", "verdict", "paper", "here", "n", "p (Holm)", "n could see", "paper's n", "paper, where"]
    return table_lines(header, rows)


def main() -> None:
    """Write the table, and print it."""
    table = markdown()
    TABLE.parent.mkdir(exist_ok=True)
    write_atomically(TABLE, f"{table}\n")
    print(table)


if __name__ == "__main__":
    main()
