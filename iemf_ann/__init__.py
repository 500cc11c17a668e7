"""Artificial networks: the common ResNet-18 with ReLU."""

from iemf_ann.resnet import resnet18

__all__ = ["resnet18"]
