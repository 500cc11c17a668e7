"""From options to parts."""

from dataclasses import replace

import torch
from torch import nn

from experiments.continual import build
from experiments.continual.options import RunConfig, resolve
from experiments.sweep.build import modulation_of
from iemf.continual.model import ContinualNetwork
from iemf.modulation import InverseEffectiveness, ReleasedInverseEffectiveness


def test_what_released_leaves_out():
    """No attention distilled, no activation, ξ of av-cil on the step, noise elsewhere."""
    common = {"variant": "iemf", "optimizer": "sgd", "epochs": 30}
    paper, released = (resolve(RunConfig(recipe=recipe, **common)) for recipe in ("paper", "released"))
    assert build.build_method(paper).attention
    assert not build.build_method(released).attention
    assert isinstance(build.activation(paper), nn.ReLU)
    assert isinstance(build.activation(released), nn.Identity)
    network = ContinualNetwork(3, 3, 2, 4)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    runs = [paper, released, *(resolve(RunConfig(variant="iemf", epochs=30, **options)) for options in
            ({"recipe": "released", "method": "lwf", "optimizer": "sgd"}, {"optimizer": "adam"}))]  # fmt: skip
    made = [modulation_of(run, network, optimizer, 0) for run in runs]
    assert [effect.scale for effect in made] == ["gradient", "step", "gradient", "step"]
    assert [type(effect) for effect in made] == [InverseEffectiveness] * 2 + [
        ReleasedInverseEffectiveness, InverseEffectiveness,
    ]  # fmt: skip
    for effect in made:
        assert {id(p) for p in effect.parameters} == {id(p) for p in network.classifier.parameters()}
    assert modulation_of(replace(paper, variant="joint"), network, optimizer, 0) is None
