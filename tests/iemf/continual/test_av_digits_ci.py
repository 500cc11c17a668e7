"""The features of av-digits-ci: fixed transforms, the same every time."""

import numpy as np
import torch

from iemf.continual import av_digits_ci
from iemf.continual.data import check_classes


def test_features_of_av_digits_ci():
    data = av_digits_ci.load()
    assert data.train.visual.shape == (1500, 4, 16, 64)
    assert data.train.audio.shape == (1500, 128)
    assert [len(task) for task in data.tasks] == [2] * 5
    check_classes(data)
    again = av_digits_ci.load()
    assert np.array_equal(again.test.visual, data.test.visual)
    views = data.test.visual[:50].astype(np.float32)
    assert not np.array_equal(views[:, 0], views[:, 1])  # each view has noise of its own


def test_oriented_gradients_of_an_edge():
    """A vertical edge has energy in the orientation across it, in the windows that hold it."""
    image = torch.zeros(1, 1, 32, 32)
    image[..., 16:] = 1
    features = av_digits_ci.oriented_gradients(image).view(16, 4, 4, 4)
    energy = features.sum((2, 3))
    lit = energy.sum(1) > 0
    assert energy[lit].argmax(1).unique().tolist() == [0]
    assert 0 < lit.sum() < 16
