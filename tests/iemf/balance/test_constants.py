"""Each method's own constant: the published one by default, another where it is told so."""

import pytest
import torch

from iemf.balance import METHODS
from tests.iemf.balance.steps import Rows, method_of, step_of

PUBLISHED = {"mslr": 0.1, "ogm-ge": 0.8, "ogm": 0.8, "lfm": 1.0, "mmpareto": 1.5, "agm": 1.0, "pmr": 1.0,
             "g-blending": 10.0, "concat": None, "ge": None}  # fmt: skip


def gradients_with(make_network, batch, name, constant):
    """Of a step behind a sixth epoch in which visual had become better, from a fixed generator for all noise."""
    network, (*inputs, labels) = make_network(), batch
    method, _ = method_of(name, network)
    method.use_epochs(100, 100)
    if constant is not None:
        method.use_constant(constant)
    for visual in (10, 10, 10, 10, 10, 15):
        method.on_validation({"audio": 10.0, "visual": float(visual), "fused": 10.0}, 0)
    method.on_epoch(0, Rows(network, inputs, labels, held=2))
    return step_of(method, network, inputs, labels)[1]


def test_every_method_says_whether_it_has_one():
    assert {name: method.constant for name, method in METHODS.items() if name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize("name", sorted(name for name in PUBLISHED if PUBLISHED[name] and name != "g-blending"))
def test_another_constant_is_another_step(make_network, batch, name):
    plain = gradients_with(make_network, batch, name, None)
    same = gradients_with(make_network, batch, name, PUBLISHED[name])
    other = gradients_with(make_network, batch, name, 3 * PUBLISHED[name])
    assert all(torch.equal(plain[key], same[key]) for key in plain)
    assert any(not torch.equal(plain[key], other[key]) for key in plain)


def test_super_epochs_of_g_blending_are_as_long_as_it_says(make_network, batch):
    network, (*inputs, labels) = make_network(), batch
    method, _ = method_of("g-blending", network)
    method.use_epochs(100, 100)
    method.use_constant(4.0)
    seen = []
    for epoch in range(9):
        method.on_epoch(epoch, Rows(network, inputs, labels, held=2))
        seen.append(method.super_epoch)
    assert seen == [0, 0, 0, 0, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("name", ["concat", "ge"])
def test_a_method_without_one_says_so(make_network, name):
    with pytest.raises(ValueError, match=f"{name} has no constant"):
        METHODS[name](make_network()).use_constant(1.0)
