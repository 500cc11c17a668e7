"""Every example runs, and does what it says."""

import json

import matplotlib
import pytest

from examples import lif_in_spikingjelly, own_method, own_model
from iemf.balance import METHODS
from tests.conftest import ROOT


def test_three_modalities_together_tell_more_than_each_alone(capsys):
    together = own_model.main(steps=200)
    *steps, last = capsys.readouterr().out.splitlines()
    alone = [float(word) for word in last.split("alone ")[1].replace(" %", "").split(", ")]
    assert len(alone) == 3
    assert together > max(alone) + 5
    assert all("ξ" in line for line in steps)


@pytest.fixture
def only_known_methods():
    """The example registers a method; other tests must not see it."""
    known = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(known)


def test_a_method_of_ones_own_is_trained(only_known_methods):
    METHODS.setdefault("dropout", own_method.ModalityDropout)
    accuracies = own_method.main(epochs=1, width=2)
    assert set(accuracies) == {"concat", "dropout"}
    assert all(0 <= value <= 100 for value in accuracies.values())


def test_our_neuron_in_a_spikingjelly_network_puts_out_the_same():
    assert lif_in_spikingjelly.main(batch=4, repeats=1)


def test_the_notebook_runs_from_top_to_bottom_and_is_kept_without_outputs(tmp_path, monkeypatch, capsys):
    """Its code cells as one program, cut to one epoch of a narrow network."""
    cells = json.loads((ROOT / "examples" / "digits.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells)
    program = "\n".join(code).replace(
        "epochs=6, width=8", "epochs=1, width=1, time_steps=1 if options.get('network') else None"
    )
    program = program.replace("range(1, 7)", "range(1, 2)").replace("tempfile.mkdtemp()", repr(str(tmp_path)))
    matplotlib.use("agg")
    drawn = []
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: drawn.append(1))
    exec(compile(program, "digits.ipynb", "exec"), {})
    assert len(drawn) == 3
    assert "firing rate" in capsys.readouterr().out
