"""Spiking networks: the LIF neuron, its backends, the common ResNet-18 with it, firing rates and energy."""

from iemf_snn.neuron import LIFNode
from iemf_snn.resnet import resnet18

__all__ = ["LIFNode", "resnet18"]
