"""The benchmark of balancing methods: what it measures, and what the table says of it."""

from experiments.benchmark import methods


def test_every_method_is_timed_and_counted_for_both_networks(small):
    results = methods.measure(2, "cpu", steps=1, names=("concat", "mmpareto", "pmr"))
    assert set(results["milliseconds"]) == {f"{n} {m}" for n in ("ann", "snn") for m in ("concat", "mmpareto", "pmr")}
    assert {len(values) for values in results["milliseconds"].values()} == {2}
    counted = results["operations"]
    assert counted["ann mmpareto"] > 1.3 * counted["ann concat"]  # a second backward pass
    assert counted["snn concat"] > 3 * counted["ann concat"]  # four time steps behind the stem
    assert "| PMR" in methods.markdown(results)


def test_the_table_by_hand():
    times = {"ann concat": [10.0, 20.0, 30.0], "ann pmr": [12.0, 24.0, 60.0]}
    times |= {"snn concat": [20.0] * 3, "snn pmr": [50.0] * 3}
    operations = {"ann concat": 1e6, "ann pmr": 1.5e6, "snn concat": 4e6, "snn pmr": 4e6}
    table = methods.markdown(
        {"milliseconds": times, "operations": operations, "device": "cpu", "threads": 1, "batch": 32}
    )
    row = [cell.strip() for cell in table.splitlines()[3].strip("|").split("|")]
    assert row == ["PMR", "24.0", "1.20", "1.5", "1.50", "50.0", "2.50", "4.0", "1.00", "+0.033"]
