"""The class-incremental command: grid, table, pictures, and going on where it stopped."""

import json
from pathlib import Path

import pytest

from experiments import continual, continual_report
from experiments.continual import ContinualConfig, grid
from experiments.continual_options import ContinualRun, resolve
from iemf.errors import UserError

SMALL = {"epochs": 1, "features": 8, "progress": False}


def test_a_grid_trains_tabulates_and_repeats_nothing(tmp_path, capsys, monkeypatch):
    config = ContinualConfig(**SMALL, networks=("ann", "snn"), methods=("lwf", "av-cil"), variants=("joint", "iemf"),
                             seeds=(0,), out=tmp_path)  # fmt: skip
    continual.main(config)
    table = (tmp_path / "table.md").read_text()
    assert table.strip() in capsys.readouterr().out
    for words in ("| LwF    | ANN", "| AV-CIL | SNN", "AFR: IEMF − joint", "one seed a cell"):
        assert words in table
    cell = next(c for c in json.loads((tmp_path / "results.json").read_text())["cells"] if c["variant"] == "iemf")
    assert [len(row) for row in cell["runs"][0]["accuracies"]] == [1, 2, 3, 4, 5]
    assert 0 < cell["runs"][0]["xi"] < 2
    for name in ("average_accuracy.png", "accuracy_and_forgetting.png"):
        assert (tmp_path / name).stat().st_size > 10000
    monkeypatch.setattr(continual, "ContinualTrainer", None)  # nothing may be trained again
    continual.main(config)
    assert (tmp_path / "table.md").read_text() == table


def test_the_table_follows_from_the_results():
    cells = {
        ("ann", "ssil", variant): {
            seed: {"mean_accuracy": 50.0 + seed + gain, "average_forgetting": 10.0} for seed in (0, 2)
        }
        for variant, gain in (("joint", 0.0), ("iemf", 1.5))
    }
    row = continual_report.markdown(cells, resolve(ContinualRun())).splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "SSIL", "ANN", "51.00 ± 1.41", "52.50 ± 1.41", "10.00 ± 0.00", "10.00 ± 0.00", "+1.50 ± 0.00", "+0.00 ± 0.00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs 0 must be 1 or more"),
        ({"lr": -1.0}, "--lr -1.0"),
        ({"gamma": float("inf")}, "--gamma inf"),
        ({"methods": ()}, "--methods"),
        ({"seeds": (1, 1)}, "--seeds 1 1"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        grid(ContinualConfig(**options))


def test_a_folder_of_other_options_is_refused(tmp_path):
    options = {**SMALL, "methods": ("lwf",), "variants": ("vanilla",), "seeds": (0,), "out": tmp_path}
    continual.main(ContinualConfig(**options))
    with pytest.raises(UserError, match=r"config\.json has lr=0\.001, this run 0\.01"):
        continual.main(ContinualConfig(**options, lr=0.01))


def test_another_optimiser_has_its_own_rate():
    assert resolve(ContinualRun(optimizer="sgd")).lr == 1e-2
    assert resolve(ContinualRun()).lr == 1e-3
    assert resolve(ContinualRun(out=Path("x"))).memory == 50
