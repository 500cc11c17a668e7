"""What the recipes of question answering train with on MUSIC-AVQA."""

from pathlib import Path

import pytest
import torch

from experiments.avqa import build
from experiments.avqa.options import RunConfig, resolve
from iemf.errors import UserError


def config(recipe, model="baseline", **options):
    return resolve(RunConfig(recipe=recipe, model=model, dataset="music-avqa", data_root=Path("x"), **options))


@pytest.mark.parametrize(
    ("recipe", "model", "expected"),
    [
        ("paper", "baseline", ("sgd", 1e-2, 0.0, 1e-4, None, 50)),
        ("released", "st-avqa", ("sgd", 1e-2, 0.9, 1e-4, 15, 50)),
        ("original", "baseline", ("adam", 1e-4, None, 0.0, 8, 20)),
        ("original", "st-avqa", ("adam", 1e-4, None, 0.0, 8, 80)),
    ],
)
def test_what_the_recipes_train_with(recipe, model, expected):
    run = config(recipe, model)
    assert (run.optimizer, run.lr, run.momentum, run.weight_decay, run.drop_every, run.epochs) == expected
    group = build.optimizer_of(run, torch.nn.Linear(1, 1)).param_groups[0]
    assert group["weight_decay"] == expected[3]
    assert group.get("momentum") == expected[2]


@pytest.mark.parametrize("recipe", ["paper", "released", "original"])
def test_stage_1_is_the_same_in_every_recipe(recipe):
    stage_1 = config(recipe, "st-avqa").grounding
    found = (
        stage_1.optimizer,
        stage_1.lr,
        stage_1.drop_every,
        stage_1.epochs,
        stage_1.batch_size,
        stage_1.weight_decay,
    )
    assert found == ("adam", 1e-4, 8, 30, 64, 0.0)


def test_the_activations_around_the_fusion():
    kinds = {recipe: type(build.activation(config(recipe))) for recipe in ("paper", "original", "released")}
    assert kinds == {"paper": torch.nn.Tanh, "original": torch.nn.Tanh, "released": torch.nn.Identity}
    with pytest.raises(UserError, match="no activations that could spike"):
        config("released", network="snn")
