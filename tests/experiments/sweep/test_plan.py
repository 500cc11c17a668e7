"""The plan of a grid: counts, states, and times from a speed that is known."""

import pytest

from experiments.classification import compare, size
from experiments.classification.compare import CompareConfig, grid
from experiments.sweep import plan
from iemf.files import write_json
from tests.experiments.helpers import rows_of


def test_the_plan_counts_what_is_left(tmp_path, monkeypatch):
    def speed(trial, accelerator):
        return 2.0 if trial.stage.module.audio_encoder_is_spiking else 10.0

    class Trial:
        def __init__(self, config, accelerator):
            self.stage = self.module = self
            self.audio_encoder_is_spiking = config.network == "snn"

    monkeypatch.setattr(plan, "samples_a_second", speed)
    monkeypatch.setattr(size, "trial", Trial)
    config = CompareConfig(methods=("concat",), seeds=(0, 1), out=tmp_path, dataset="crema-d", data_root=tmp_path)
    runs = grid(config)
    hours = size.size_of(runs[0]).samples / 10 / 3600
    text = plan.describe(runs, compare.TASK)
    assert "12 runs, 0 of them finished" in text
    assert plan.duration(6 * hours + 6 * 5 * hours) in text
    assert "ANN 10, SNN 2" in text
    runs[0].out.mkdir(parents=True)
    write_json(runs[0].out / "results.json", {})
    text = plan.describe(runs, compare.TASK)
    assert "12 runs, 1 of them finished" in text
    assert plan.duration(5 * hours + 6 * 5 * hours) in text
    row = next(row for row in rows_of(text) if row[1:3] == ["SNN", "vanilla"])
    assert row == ["Concat", "SNN", "vanilla", "63.04", "0 1", "100", plan.duration(5 * hours)]


@pytest.mark.parametrize(
    ("hours", "words"), [(0.001, "4 s"), (0.5, "30 min"), (2.25, "2.2 h"), (72, "3.0 days"), (0.999, "60 min")]
)
def test_durations(hours, words):
    assert plan.duration(hours) == words
