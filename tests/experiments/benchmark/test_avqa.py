"""The benchmark of question answering: what it measures, and what the table says of it."""

from experiments.benchmark import avqa


def test_every_way_is_timed_for_both_models(digits_qa):
    results = avqa.measure(2, "cpu", digits_qa, steps=2)
    assert set(results["rates"]) == {"baseline", "st-avqa"}
    for rates in results["rates"].values():
        assert {len(values) for values in rates.values()} == {2}
        assert min(rates["alone"]) > max(rates["without"])
    assert "| ST-AVQA" in avqa.markdown(results)


def test_the_table_by_hand():
    rates = {"without": [100.0, 200.0, 100.0], "reading": [95.0, 180.0, 97.0], "alone": [5e3, 5e3, 6e3]}
    table = avqa.markdown({"rates": {"baseline": rates}, "device": "cpu", "batch": 128, "threads": 2})
    row = [cell.strip() for cell in table.splitlines()[2].strip("|").split("|")]
    assert row == ["baseline", "100 (100 – 200)", "97 (95 – 180)", "-5.0 %", "5000 (5000 – 6000)"]
