"""One modality in the loop: its loss, and that it sees what the stage of both sees."""

import math

import pytest
import torch
from torch import nn

from iemf.classification.unimodal import UnimodalStage
from iemf.data.base import Batch
from iemf.training import Trainer, TrainingOptions
from iemf.unimodal import UnimodalNetwork
from tests.iemf.small import audio_visual_data, classification_stage, folder_of


def stage(accelerator, modality="audio", smoothing=0.0, seed=1):
    torch.manual_seed(3)
    network = UnimodalNetwork(modality, nn.Flatten(), nn.Linear(32 * 32, 3))
    return UnimodalStage(network, audio_visual_data(), 16, seed, accelerator, label_smoothing=smoothing)


def test_the_loss_by_hand_with_and_without_smoothing(accelerator):
    """Logits (2, 0, 0), class 0: log(e² + 2) − 2 = 0.2395; smoothed by 0.3 another 0.3·(2 − 2/3) = 0.4 on top."""
    batch = Batch(torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32), torch.zeros(2, dtype=torch.long))
    for smoothing, expected in ((0.0, math.log(math.e**2 + 2) - 2), (0.3, math.log(math.e**2 + 2) - 2 + 0.4)):
        one = stage(accelerator, smoothing=smoothing)
        one.module.head.bias.data = torch.tensor([2.0, 0.0, 0.0])
        outcome = one.loss(one.module, batch, 0)
        assert outcome.loss.item() == pytest.approx(expected)
        assert outcome.totals["loss"].item() == pytest.approx(2 * expected)
        assert set(outcome.totals) == {"loss", "loss_fused", "correct_audio", "correct_fused"}


def test_it_sees_the_batches_of_both_modalities_in_their_order(accelerator):
    both, one = classification_stage(accelerator), stage(accelerator)
    for epoch in (0, 1):
        for a, b in zip(both.batches(epoch), one.batches(epoch), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_it_learns_in_the_loop(tmp_path, accelerator):
    one = stage(accelerator, "visual")
    optimizer = torch.optim.SGD(one.module.parameters(), lr=0.01)
    trainer = Trainer(one, optimizer, TrainingOptions(6, 1, progress=False), folder_of(tmp_path), accelerator)
    history = trainer.fit()
    assert history[-1]["train_accuracy_visual"] == history[-1]["train_accuracy_fused"] > 80
    accuracies, effects = one.test()
    assert set(accuracies) == {"visual", "fused"}
    assert effects.xi == []
