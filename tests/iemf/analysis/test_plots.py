"""Every kind of picture, drawn from made-up records, and what drawing leaves alone."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from iemf.analysis import avqa_plots, continual_plots, figure, landscape_plots, plots, robustness_plot, style

VARIANTS = tuple(style.VARIANT_LABELS)
LABELS = {
    "concat": "Concat",
    "lfm": "LFM",
    "lwf": "LwF",
    "av-cil": "AV-CIL",
    "baseline": "baseline",
    "st-avqa": "ST-AVQA",
}
NETWORKS = tuple(style.NETWORK_LABELS)


def accuracies(path):
    cells = {(n, m, v): [50.0, 52.0] for n in NETWORKS for m in ("concat", "lfm") for v in VARIANTS}
    plots.accuracies(cells, LABELS, path, "made up")


def coefficient(path):
    run = [{"val_accuracy_fused": 10.0 * epoch, "xi": 1 + epoch / 10, "xi_val": 1.1} for epoch in range(4)]
    histories = {(n, "concat"): {v: [run, run[:3]] for v in VARIANTS} for n in NETWORKS}  # one ended earlier
    plots.coefficient_over_epochs(histories, {("ann", "concat"): [1.2, 1.3]}, LABELS, path)


def test_curves_that_end_earlier_count_as_far_as_they_go():
    axis = figure.panels(1, 1, (2, 2))[1][0, 0]
    figure.mean_and_band(axis, [1, 2, 3], [[1, 2, 3], [3, 4]], color="black")
    assert axis.lines[0].get_ydata().tolist() == [2, 3, 3]
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert {2 - 2**0.5, 2 + 2**0.5, 3 - 2**0.5, 3 + 2**0.5, 3} <= set(band.tolist())


def firing_rates(path):
    layers = [{"modality": m, "layer": f"layer {i}", "rate": 0.1 * i, "silent": 0.02}
              for m in ("audio", "visual", "fusion") for i in range(3)]  # fmt: skip
    plots.firing_rates(layers, path, "made up")


def average_accuracy(path):
    curves = {(n, m, v): [[90.0, 70.0], [88.0, 71.0]] for n in NETWORKS for m in ("lwf", "av-cil") for v in VARIANTS}
    continual_plots.average_accuracy(curves, LABELS, path, "made up")


def forgetting(path):
    values = {"mean_accuracy": [60.0, 62.0], "average_forgetting": [20.0, 18.0]}
    cells = {(n, m, v): values for n in NETWORKS for m in ("lwf", "av-cil") for v in VARIANTS}
    continual_plots.accuracy_and_forgetting(cells, LABELS, path, "made up")


def radar(path):
    charts = [avqa_plots.Chart("sound", {"a": "counting", "b": "comparative", "c": "all"})]
    values = {"a": [50.0], "b": [70.0], "c": [61.0]}
    cells = {(n, m, v): values for n in NETWORKS for m in ("baseline", "st-avqa") for v in VARIANTS}
    avqa_plots.radar(cells, LABELS, charts, path, "made up")


def scenes(path):
    asked = avqa_plots.Asked("How many digits are heard?", "two", {"IEMF": "two", "vanilla": "one"})
    avqa_plots.scenes([avqa_plots.Example(np.eye(8), ("3", "", "5"), [asked])] * 2, path, "made up")


def robustness(path):
    rows = [{"network": n, "method": "concat", "variant": v, "seed": s, "modality": m, "snr": snr,
             "test_accuracy": 50.0 + snr + s} for n in NETWORKS for v in VARIANTS for s in (0, 1)
            for m in ("audio", "visual") for snr in (-5.0, 0.0)]  # fmt: skip
    robustness_plot.accuracy_over_snr(rows, LABELS, {"audio": (-15.0, 0.0), "visual": None}, 10.0, path, "made up")


def landscape_records():
    """Bowls; the last has a corner where the loss overflowed."""
    steps = [-1.0, -0.5, 0.0, 0.5, 1.0]
    bowl = [[0.1 + a * a + b * b for b in steps] for a in steps]
    bowl[0][0] = None
    sharp = {"radii": [0.1, 1.0], "values": [0.0, 0.3], "loss": 0.1, "norm": 3.0}
    spectrum = {"eigenvalues": [2.0, 1.0, 0.5], "products": "differences", "asymmetry": 0.3, "change": 0.1}
    return [{"network": n, "method": "concat", "variant": v, "seed": s, "line": {"steps": steps, "loss": bowl[2]},
             "plane": {"steps": steps, "loss": bowl}, "sharpness": dict.fromkeys(("fusion", "all"), sharp),
             "eigenvalues": dict.fromkeys(("fusion", "all"), spectrum)}
            for n in NETWORKS for v in VARIANTS for s in (0, 1)]  # fmt: skip


def lines(path):
    landscape_plots.lines(landscape_records(), LABELS, 2.3, path, "made up")


def planes(path):
    records = landscape_plots.of_cell(landscape_records(), network="ann", seed=0)
    landscape_plots.planes(records[::-1], 2.3, path, "made up")


def sharpness(path):
    landscape_plots.sharpness_over_radius(landscape_records(), LABELS, path, "made up")


def eigenvalues(path):
    landscape_plots.top_eigenvalues(landscape_records()[::2], LABELS, path, "made up")


PICTURES = (accuracies, coefficient, firing_rates, average_accuracy, forgetting, radar, scenes, robustness, lines,
            planes, sharpness, eigenvalues)  # fmt: skip


@pytest.mark.parametrize("draw", PICTURES)
def test_a_picture_is_drawn_and_nothing_else_is_left(draw, tmp_path):
    draw(tmp_path / "picture.png")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"
        assert len(np.unique(picture.convert("L"))) > 10


@pytest.mark.parametrize(("values", "limits"), [((91.0, 93.0), (87.0, 97.0)), ((20.0, 90.0), (16.5, 93.5))])
def test_panels_share_an_axis_on_which_small_differences_look_small(values, limits, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, *_: drawn.append(figure))
    cells = {(network, "lfm", "vanilla"): [value] for network, value in zip(NETWORKS, values, strict=True)}
    plots.accuracies(cells, LABELS, tmp_path / "picture.png", "made up")
    # five points around the middle, or the values and the margin of a twentieth that matplotlib leaves
    assert [axis.get_ylim() for axis in drawn[0].axes] == [pytest.approx(limits)] * 2


NOTEBOOK = """
import pkgutil, sys
from pathlib import Path
import matplotlib
backend = lambda: dict.__getitem__(matplotlib.rcParams, "backend")  # which does not choose one
before = backend()
import iemf.analysis
for module in pkgutil.iter_modules(iemf.analysis.__path__):
    __import__(f"iemf.analysis.{module.name}")
layer = {"modality": "audio", "layer": "one", "rate": 0.1, "silent": 0.0}
iemf.analysis.plots.firing_rates([layer], Path(sys.argv[1]), "made up")
assert "matplotlib.pyplot" not in sys.modules, "pyplot"
assert backend() is before, "backend"
"""


def test_a_notebooks_backend_is_left_alone(tmp_path):
    """In a process of its own: others may have imported pyplot here."""
    done = subprocess.run([sys.executable, "-c", NOTEBOOK, tmp_path / "a.png"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").exists()
