"""What a method adds to the losses."""

import torch

from iemf.continual.methods import AVCIL, METHODS, ContinualStep
from iemf.continual.model import ContinualOutput
from iemf.logits import Logits


def test_methods_have_the_order_and_the_labels_of_the_tables():
    assert list(METHODS) == ["fine-tuning", "lwf", "ssil", "av-cil"]
    assert [method.label for method in METHODS.values()] == ["fine-tuning", "LwF", "SSIL", "AV-CIL"]
    assert all(method.name == name for name, method in METHODS.items())


def test_silent_features_have_bounded_gradients():
    """Spiking features may all be zero; the contrast must not blow up on them."""
    features = torch.zeros(4, 8, requires_grad=True)
    logits = torch.zeros(4, 2)
    named = {"audio": features, "visual": torch.rand(4, 8)}
    output = ContinualOutput(Logits({"audio": logits, "visual": logits}, logits), named, logits, logits)
    step = ContinualStep(torch.tensor([0, 1, 0, 1]), 4, 0, [])
    AVCIL(attention=False).further_loss(output, output, step).backward()
    assert features.grad.abs().max() < 1e4
