"""The layers that both models begin with."""

from torch import nn


def audio_layers(audio_size: int, width: int) -> nn.Sequential:
    """a_t = W2·ReLU(W1·x_t)."""
    return nn.Sequential(nn.Linear(audio_size, width), nn.ReLU(), nn.Linear(width, width))


def visual_layer(visual_size: int, width: int) -> nn.Module:
    """Channels of a map to ``width``; nothing where they agree, as they do with 512 in MUSIC-AVQA."""
    return nn.Identity() if visual_size == width else nn.Linear(visual_size, width)
