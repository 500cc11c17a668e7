"""The plan of a grid: counts, states, and times from a speed that is known."""

from pathlib import Path

import pytest

from experiments import plan
from experiments.compare import CompareConfig, grid
from experiments.options import RunConfig, resolve
from iemf.errors import UserError
from iemf.files import write_json


def test_samples_by_hand():
    """CREMA-D: 100 epochs of 0.9 · 6698 training clips and a third of the rest, then a third of the test clips."""
    config = resolve(RunConfig(dataset="crema-d", data_root=Path("nowhere")))
    assert plan.samples(config) == pytest.approx(100 * (6028.2 + 669.8 / 3) + 744 / 3)
    digits = resolve(RunConfig())
    assert plan.split_sizes(digits) == {"train": 1500, "val": 500, "test": 1000}
    urban = resolve(RunConfig(dataset="urbansound8k-av", data_root=Path("nowhere")))
    assert plan.split_sizes(urban) == pytest.approx({"train": 0.9 * 6112, "val": 611.2, "test": 2620})
    with pytest.raises(UserError, match=r"prepare .*nowhere first"):
        plan.split_sizes(resolve(RunConfig(dataset="folder", data_root=Path("nowhere"))))


def test_the_plan_counts_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "samples_a_second", lambda config: 10.0 if config.network == "ann" else 2.0)
    config = CompareConfig(methods=("concat",), seeds=(0, 1), out=tmp_path, dataset="crema-d", data_root=tmp_path)
    runs = grid(config)
    hours = plan.samples(resolve(runs[0])) / 10 / 3600
    text = plan.describe(runs)
    assert "12 runs, 0 of them finished" in text
    assert plan.duration(6 * hours + 6 * 5 * hours) in text
    runs[0].out.mkdir(parents=True)
    write_json(runs[0].out / "results.json", {})
    text = plan.describe(runs)
    assert "12 runs, 1 of them finished" in text
    assert plan.duration(5 * hours + 6 * 5 * hours) in text
    row = next(line for line in text.splitlines() if "SNN" in line and "vanilla" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "Concat", "SNN", "vanilla", "63.04", "0 1", "100", plan.duration(5 * hours)]  # fmt: skip


@pytest.mark.parametrize(
    ("hours", "words"), [(0.001, "4 s"), (0.5, "30 min"), (2.25, "2.2 h"), (72, "3.0 days"), (0.999, "60 min")]
)
def test_durations(hours, words):
    assert plan.duration(hours) == words


@pytest.mark.parametrize("dataset", ["av-digits", "kinetics-sounds", "urbansound8k-av"])
def test_a_step_is_timed_on_the_shapes_of_the_data_set(dataset, monkeypatch):
    options = {} if dataset == "av-digits" else {"data_root": Path("x"), "seconds": 0.5, "image_size": 32}
    config = resolve(RunConfig(dataset=dataset, width=2, **options))
    audio, visual = plan.random_input(config, 2, "cpu")
    assert {"av-digits": (2, 1, 32, 32), "kinetics-sounds": (2, 1, 257, 32), "urbansound8k-av": (2, 1, 128, 128)}[
        dataset
    ] == audio.shape
    assert {"av-digits": (2, 1, 32, 32), "kinetics-sounds": (2, 3, 3, 32, 32), "urbansound8k-av": (2, 3, 32, 32)}[
        dataset
    ] == visual.shape
    assert plan.samples_a_second(config) > 0
