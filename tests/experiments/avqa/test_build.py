"""From options to parts."""

from dataclasses import replace

import torch

from experiments.avqa import build, run
from experiments.sweep.build import modulation_of
from iemf.modulation import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.training import RunFolder, checkpoint
from tests.experiments.avqa import run_of


def test_stage_2_starts_from_the_weights_of_stage_1(digits_qa, tmp_path):
    config = run_of(digits_qa, tmp_path / "st", model="st-avqa", variant="iemf")
    run.train(config.grounding)
    learnt = checkpoint.load(RunFolder(config.grounding.out).best_checkpoint)["network"]
    network = build.build_network(config, build.build_data(config))
    for name, value in learnt.items():
        assert torch.equal(network.grounding.state_dict()[name], value), name
    untrained = build.build_network(config.grounding, build.build_data(config)).state_dict()
    assert any(not torch.equal(untrained[name], value) for name, value in learnt.items())


def test_a_blind_run_does_not_hear(digits_qa, tmp_path):
    config = run_of(digits_qa, tmp_path, blind=("audio",))
    assert not build.build_data(config).test.__getitems__([0]).audio.any()
    assert build.build_data(replace(config, blind=())).test.__getitems__([0]).audio.any()


def test_modulation_of_recipes(digits_qa, tmp_path):
    config = run_of(digits_qa, tmp_path, variant="iemf")
    network = build.build_network(config, build.build_data(config))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    changes = ({}, {"optimizer": "sgd"}, {"recipe": "released"}, {"variant": "joint"})
    runs = [run_of(digits_qa, tmp_path, **({"variant": "iemf"} | change)) for change in changes]
    kinds = [modulation_of(each, network, optimizer, 0) for each in runs]
    assert [type(kind) for kind in kinds] == [InverseEffectiveness] * 2 + [ReleasedInverseEffectiveness, type(None)]
    assert [kind.scale for kind in kinds[:3]] == ["step", "gradient", "gradient"]
    for kind in kinds[:3]:
        assert {id(p) for p in kind.parameters} == {id(p) for p in network.answer.fc_fusion.parameters()}
