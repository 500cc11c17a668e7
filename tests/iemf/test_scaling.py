"""A factor on an update: what SGD and Adam make of both forms."""

import warnings

import pytest
import torch
from torch import nn

from iemf.scaling import Scaling, default_scale

OPTIMISERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def moved(optimizer, scale=None, factor=0.5):
    """By how much a weight of 1 with a gradient of 3 moves in one step; None: without a factor."""
    weight = nn.Parameter(torch.ones(1))
    made = OPTIMISERS[optimizer]([weight], lr=0.1)
    scaling = scale and Scaling([weight], scale, made)
    weight.grad = torch.full((1,), 3.0)
    if scaling:
        scaling.apply(factor)
    made.step()
    return weight.item() - 1


@pytest.mark.filterwarnings("ignore:.* takes a factor on the gradient away")
def test_by_hand():
    assert moved("sgd") == pytest.approx(-0.3)
    assert moved("sgd", "gradient") == moved("sgd", "step") == pytest.approx(-0.15)
    assert moved("adam") == pytest.approx(-0.1, rel=1e-6)  # g / sqrt(g²)
    assert moved("adam", "gradient") == pytest.approx(-0.1, rel=1e-6)
    assert moved("adam", "step") == pytest.approx(-0.05, rel=1e-6)
    assert moved("adam", "step", torch.tensor(0.5)) == moved("adam", "step")


def test_the_default_is_the_step_wherever_the_gradient_does_nothing(accelerator):
    weight = nn.Parameter(torch.ones(1))
    made = {name: make([weight], lr=0.1) for name, make in OPTIMISERS.items()}
    assert {name: default_scale(each) for name, each in made.items()} == {
        "sgd": "gradient", "adam": "step", "adamw": "step",
    }  # fmt: skip
    assert default_scale(accelerator.prepare(made["sgd"])) == "gradient"


def test_the_gradient_of_an_adaptive_optimiser_is_warned_of_in_one_line():
    with pytest.warns(UserWarning, match=r"^AdamW takes .* scale=\"step\" puts it on the update$"):
        moved("adamw", "gradient")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved("sgd", "gradient")
        moved("adamw", "step")


def test_frozen_parameters_need_no_optimiser():
    frozen, other = nn.Parameter(torch.ones(1), requires_grad=False), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.Adam([other], lr=0.1)
    Scaling([frozen], "step", optimizer).apply(0.5)
    other.grad = torch.ones(1)
    optimizer.step()
    assert frozen.item() == 1
    with pytest.raises(ValueError, match="does not update 1 of the 1"):
        Scaling([nn.Parameter(torch.ones(1))], "step", optimizer)
