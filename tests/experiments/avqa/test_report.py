"""The tables of question answering."""

from experiments.avqa import report
from experiments.avqa.options import RunConfig, resolve
from iemf.avqa.accuracy import COLUMNS


def test_the_table_follows_from_the_results():
    def results(*numbers):
        return {
            "test_accuracy_by_type": dict.fromkeys(COLUMNS, numbers[0]) | {"av_avg": numbers[1]},
            "unknown_answers": 0,
        }

    cells = {
        ("ann", "baseline", "joint", ()): {0: results(50.0, 60.0), 2: results(52.0, 62.0)},
        ("ann", "baseline", "iemf", ()): {0: results(51.0, 60.5), 2: results(54.0, 62.5)},
        ("ann", "baseline", "vanilla", ("audio",)): {0: results(40.0, 50.0), 2: results(30.0, 30.0)},
        ("ann", "baseline", "vanilla", ("visual",)): {0: results(45.0, 40.0), 2: results(20.0, 50.0)},
    }
    table = report.markdown(cells, [(resolve(RunConfig()), {})], 2)
    rows = {tuple(part.strip() for part in line.strip("|").split("|")) for line in table.splitlines()}
    assert ("baseline", "ANN", "IEMF − joint", "+1.50 ± 0.71", "+1.50 ± 0.71", "+0.50 ± 0.00", "+1.50 ± 0.71") in rows
    assert (
        "baseline",
        "ANN",
        "joint − best blind",
        "+13.50 ± 12.02",
        "+13.50 ± 12.02",
        "+11.00 ± 1.41",
        "+13.50 ± 12.02",
    ) in rows
