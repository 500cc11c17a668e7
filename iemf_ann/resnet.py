"""ResNet-18 with ReLU, one pass."""

from torch import nn

from iemf.resnet import ResNet18, Stem


def resnet18(in_channels: int, width: int = 64, stem: Stem = "7x7-pool") -> ResNet18:
    """[B, in_channels, H, W] -> features [B, 8·width]; the topology is :mod:`iemf.resnet`'s."""
    return ResNet18(in_channels, width, nn.ReLU, stem)
