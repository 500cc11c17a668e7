"""Every method where there is nothing to balance: collapsed modalities, one class in a batch, gradients of zero."""

import pytest
import torch

from iemf.balance import METHODS
from tests.iemf.balance.steps import Rows, method_of, step_of


def collapsed(network):
    """Its sound is the same for all samples: 0, and so is the sound's own bias."""
    with torch.no_grad():
        for p in network.audio_encoder.parameters():
            p.zero_()


def untouched(network):
    pass


CASES = {
    "constant features": (collapsed, [0, 1, 2, 0, 1], 1.0),
    "one class in the batch": (untouched, [1, 1, 1, 1, 1], 1.0),
    "gradients of zero": (untouched, [0, 1, 2, 0, 1], 0.0),
    "all at once": (collapsed, [2, 2, 2, 2, 2], 0.0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", METHODS)
def test_no_step_ends_in_what_is_no_number(make_network, batch, name, case):
    spoil, labels, times = CASES[case]
    network, labels = make_network(), torch.tensor(labels)
    spoil(network)
    method, optimizer = method_of(name, network)
    for epoch in range(2):
        method.on_epoch(epoch, Rows(network, batch[:2], labels, held=1 if method.held_out else 0))
        _, behind = step_of(method, network, batch[:2], labels, times)
        for parameter, gradient in behind.items():
            assert torch.isfinite(gradient).all(), parameter
        optimizer.step()
        method.on_validation({"audio": 0.0, "visual": 0.0, "fused": 0.0}, epoch)
    for parameter, value in network.named_parameters():
        assert torch.isfinite(value).all(), parameter
