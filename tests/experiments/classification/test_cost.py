"""Training costs of finished runs."""

import json
from dataclasses import replace

import pytest

from experiments.classification import cost
from experiments.classification.compare import CompareConfig, grid
from experiments.classification.cost import CostConfig
from experiments.classification.options import RunConfig, resolve
from experiments.classification.run import train
from experiments.sweep.published import cost_reductions
from iemf.errors import UserError
from iemf.training import RunFolder
from tests.experiments import helpers


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two variants of an ANN and of an SNN, one seed, whose validation accuracies are then written by hand."""
    root = tmp_path_factory.mktemp("cost")
    config = CompareConfig(epochs=3, width=2, batch_size=100, methods=("concat",), variants=("vanilla", "iemf"),
                           time_steps=2, seeds=(0,), out=root / "runs")  # fmt: skip
    with helpers.few_digits():
        for run in grid(config):
            train(replace(run, progress=False))
            folder = RunFolder(run.out)
            curve = [10, 50, 90] if run.variant == "vanilla" else [30, 70, 60]
            history = [r | {"val_accuracy_fused": a} for r, a in zip(folder.metrics(), curve, strict=True)]
            folder.write_metrics(history)
        cost.main(CostConfig(root / "runs", root / "out"))
    return root / "out"


def test_epochs_and_savings_are_those_by_hand(finished):
    rows = {(r["network"], r["variant"]): r for r in json.loads((finished / "cost.json").read_text())["runs"]}
    vanilla, iemf = rows["ann", "vanilla"], rows["ann", "iemf"]
    assert vanilla["thresholds"] == [70, 60, 50, 40, 30]
    assert (vanilla["epochs_to"], iemf["epochs_to"]) == ([2, 2, 2, 3, 3], [1, 2, 2, 2, 2])
    assert vanilla["flops"] == pytest.approx(12 / 5 * vanilla["flops_per_epoch"])
    saved = 100 * (1 - 9 / 12 * iemf["flops_per_epoch"] / vanilla["flops_per_epoch"])
    table = helpers.rows_of((finished / "table.md").read_text())
    assert float(table[0][6]) == pytest.approx(saved, abs=0.01)
    assert [row[1:3] for row in table] == [["ANN", "FLOPs"], ["SNN", "FLOPs"], ["SNN", "synaptic operations"]]
    assert "synaptic" not in vanilla
    assert 0 < rows["snn", "iemf"]["synaptic"] < rows["snn", "iemf"]["flops"]
    assert len((finished / "cost.csv").read_text().splitlines()) == 5


def test_flops_of_a_step_grow_with_width_and_time_steps():
    """Each up to four times as many: the stem and the last convolution run once, whatever T."""
    ann, snn = (resolve(RunConfig(width=4, network=n)) for n in ("ann", "snn"))
    dense, spiking = cost.operations_of_step(ann), cost.operations_of_step(snn)
    assert 2.5 < spiking / dense < 4
    assert 2 < cost.operations_of_step(resolve(RunConfig(width=8))) / dense < 4


def test_one_variant_alone_is_refused(tmp_path, finished):
    with pytest.raises(UserError, match="two variants"):
        cost.costs([resolve(RunConfig(out=tmp_path))])


def test_the_papers_reductions():
    assert cost_reductions() == {"concat": 44.2, "mslr": 15.2, "ogm-ge": 50.0, "lfm": 36.6}
