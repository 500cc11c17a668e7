"""Accuracies and loss over every sample, counted once."""

import pytest
import torch
import torch.nn.functional as F

from iemf.classification.evaluate import evaluate
from iemf.data.base import KeepInputs, evaluation_loader
from iemf.training.effects import sample_scores
from tests.iemf.small import classification_stage


@pytest.mark.parametrize("batch_size", [4, 15, 100])
def test_every_sample_counts_once_whatever_the_batches(accelerator, batch_size):
    stage = classification_stage(accelerator)
    network, split = stage.module, stage.data.test
    loader = accelerator.prepare(evaluation_loader(split, batch_size))
    accuracies, loss, scores = evaluate(network, KeepInputs(), loader, accelerator)
    assert not network.training
    audio, visual, labels = split.__getitems__(list(range(len(split))))
    with torch.no_grad():
        logits = network(audio, visual).logits
    assert list(accuracies) == ["audio", "visual", "fused"]
    for name, each in logits.named().items():
        assert accuracies[name] == pytest.approx(100 * (each.argmax(1) == labels).double().mean().item())
    assert loss == pytest.approx(F.cross_entropy(logits.fused, labels).item(), rel=1e-5)
    assert accuracies == stage.test()[0]
    assert scores.shape == (len(split), 3)
    torch.testing.assert_close(scores, sample_scores(logits, labels), rtol=1e-5, atol=1e-6)
