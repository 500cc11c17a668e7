"""What experiments.firing_rates says of a run whose layers are silent or saturated."""

import json
from dataclasses import asdict

import pytest

from experiments import firing_rates
from experiments.firing_rates import FiringRatesConfig
from iemf_snn.firing_rate import LayerRate

HEALTHY = LayerRate("audio", "activation", 10, 0.2, 0.1)
SILENT, SATURATED = LayerRate("audio", "blocks.0", 9, 0.0, 1.0), LayerRate("visual", "blocks.1", 8, 0.97, 0.0)


@pytest.fixture
def measured(tmp_path, monkeypatch, capsys):
    """Run the program on a report of these layers; (stdout, stderr)."""

    def run(*layers):
        records = [asdict(layer) for layer in layers]
        report = {"run": "x", "time_steps": 4, "test_accuracy": 50.0, "firing_rate": 0.2, "layers": records}
        monkeypatch.setattr(firing_rates, "inspect", lambda run, batch_size: report)
        firing_rates.main(FiringRatesConfig(tmp_path))
        assert json.loads((tmp_path / "firing_rates.json").read_text()) == report
        return capsys.readouterr()

    return run


def test_silent_and_saturated_layers_are_named_in_one_line_on_stderr(measured):
    out, error = measured(HEALTHY, SILENT, SATURATED)
    assert error == (
        "firing_rates: silent (more than 99 % of neurons never fired): audio blocks.0; "
        "saturated (rate above 95 %): visual blocks.1\n"
    )
    assert out.count("\n") == 4


def test_a_healthy_network_is_not_warned_of(measured):
    assert measured(HEALTHY).err == ""
