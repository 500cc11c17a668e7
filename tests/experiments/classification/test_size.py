"""How much a run trains, by hand."""

from pathlib import Path

import pytest

from experiments.classification import size
from experiments.classification.options import RunConfig, resolve
from experiments.sweep import plan
from experiments.sweep.accelerator import accelerated
from iemf.errors import UserError


def test_samples_by_hand():
    """CREMA-D: 100 epochs of 0.9 · 6698 training clips and a third of the rest, then a third of the test clips."""
    config = resolve(RunConfig(dataset="crema-d", data_root=Path("nowhere")))
    assert size.size_of(config).samples == pytest.approx(100 * (6028.2 + 669.8 / 3) + 744 / 3)
    digits = resolve(RunConfig())
    assert size.split_sizes(digits) == {"train": 1500, "val": 500, "test": 1000}
    urban = resolve(RunConfig(dataset="urbansound8k-av", data_root=Path("nowhere")))
    assert size.split_sizes(urban) == pytest.approx({"train": 0.9 * 6112, "val": 611.2, "test": 2620})
    with pytest.raises(UserError, match=r"nowhere is no folder; name the one"):
        size.split_sizes(resolve(RunConfig(dataset="folder", data_root=Path("nowhere"))))


def test_a_tree_of_ones_own_is_counted(tree):
    """Of 8 training clips a class one is set aside."""
    config = resolve(RunConfig(dataset="folder", data_root=tree))
    assert size.split_sizes(config) == {"train": 14, "val": 2, "test": 6}


@pytest.mark.parametrize("options", [{}, {"dataset": "kinetics-sounds", "data_root": Path("x"), "image_size": 32}])
def test_a_step_of_the_runs_own_network_is_timed(options):
    config = resolve(RunConfig(width=2, method="ogm-ge", iemf=True, **options))
    with accelerated() as accelerator:
        trial = size.size_of(config).trial(accelerator)
        assert trial.samples == size.CPU_BATCH
        assert trial.step.modulation is not None
        assert 0 < plan.samples_a_second(trial, accelerator.device) < 1e6
