"""ResNet-18 with pre-activation blocks, one topology for artificial and spiking networks.

    stem:  7x7 conv /2 - norm - neuron - 3x3 max-pool /2; for small pictures a form that leaves more of them
    block: norm - neuron - 3x3 conv - norm - neuron - 3x3 conv, + x; where the shape changes x goes through
           norm - neuron - 1x1 conv. Two blocks in each of four stages, width w, 2w, 4w, 8w.
    head:  mean over space (and time) -> [B, 8w]. No norm or neuron after the last stage: features are real.

The neuron is handed in. This network has no time; one that has, overrides the three methods in which it comes in.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

NeuronFactory = Callable[[], nn.Module]
Stem = Literal["7x7-pool", "7x7", "3x3"]
Fire = Callable[[nn.BatchNorm2d, nn.Module, Tensor], Tensor]  # (norm, neuron, x) -> what the neuron makes of norm(x)


class StemForm(NamedTuple):
    """Of the first convolution, and whether a max-pool follows its neuron."""

    kernel: int
    stride: int
    pool: bool


STEMS: dict[str, StemForm] = {
    "7x7-pool": StemForm(7, 2, True),  # as published: a quarter of the picture's side
    "7x7": StemForm(7, 2, False),  # half of it
    "3x3": StemForm(3, 1, False),  # all of it: He et al.'s form for CIFAR
}


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


class Shortcut(nn.Module):
    """norm - neuron - 1x1 conv, where a block changes the shape."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, neuron: NeuronFactory) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.neuron = neuron()
        # A 1x1 conv of stride 2 sees every other pixel. To leave the others out first is the same, and avoids oneDNN's
        # gradient of it, wrong below 8 channels in channels_last (uxlfoundation/oneDNN#6035).
        self.stride = stride
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        return self.conv(fire(self.norm, self.neuron, x)[..., :: self.stride, :: self.stride])


class PreActivationBlock(nn.Module):
    """Two times norm - neuron - 3x3 conv, plus the shortcut (He et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, neuron: NeuronFactory) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.neuron1 = neuron()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.neuron2 = neuron()
        self.conv2 = conv3x3(out_channels, out_channels)
        changes_shape = stride != 1 or in_channels != out_channels
        self.shortcut = Shortcut(in_channels, out_channels, stride, neuron) if changes_shape else None

    def forward(self, x: Tensor, fire: Fire, merge: Callable[[Tensor], Tensor]) -> Tensor:
        """``merge`` is linear and acts on what the second convolution and the sum see."""
        y = self.conv1(fire(self.norm1, self.neuron1, x))
        y = self.conv2(merge(fire(self.norm2, self.neuron2, y)))
        return y + merge(x if self.shortcut is None else self.shortcut(x, fire))


def unchanged(x: Tensor) -> Tensor:
    return x


class ResNet18(nn.Module):
    """[B, C, H, W] -> features [B, 8·width].

    Args:
        in_channels: C.
        width: channels of the first stage (64 as published).
        neuron: makes a fresh neuron for each place, e.g. ``nn.ReLU``; elementwise.
        stem: one of STEMS; "7x7-pool" as published. It leaves 8 x 8 of a picture of 32 x 32 pixels to the first stage
            and one pixel to the last; "7x7" leaves 16 x 16 and 2 x 2, "3x3" 32 x 32 and 4 x 4.

    Raises:
        ValueError: in_channels or width below 1, an unknown stem.
    """

    def __init__(self, in_channels: int, width: int, neuron: NeuronFactory, stem: Stem = "7x7-pool") -> None:
        super().__init__()
        if stem not in STEMS:
            raise ValueError(f"stem must be one of {', '.join(STEMS)}, got {stem!r}")
        if in_channels < 1 or width < 1:
            raise ValueError(f"in_channels and width must be >= 1, got {in_channels}, {width}")
        self.features = 8 * width
        kernel, stride, pool = STEMS[stem]
        self.stem_conv = nn.Conv2d(in_channels, width, kernel, stride, padding=kernel // 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.stem_neuron = neuron()
        self.stem_pool = nn.MaxPool2d(3, stride=2, padding=1) if pool else nn.Identity()
        blocks, channels = [], width
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(PreActivationBlock(channels, width * 2**stage, stride, neuron))
                channels = width * 2**stage
        self.blocks = nn.ModuleList(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # convolutions are faster so, on CPU and GPU

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem_pool(self.fire_stem(self.stem_norm, self.stem_neuron, self.stem_conv(x)))
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, self.fire, unchanged)
        return last(x, self.fire, self.over_time).mean(dim=(2, 3))

    def fire_stem(self, norm: nn.BatchNorm2d, neuron: nn.Module, x: Tensor) -> Tensor:
        """The first neurons, [B, C, H, W] -> [T·B, C, H, W]."""
        return self.fire(norm, neuron, x)

    def fire(self, norm: nn.BatchNorm2d, neuron: nn.Module, x: Tensor) -> Tensor:
        """All other neurons, [T·B, C, H, W] -> the same."""
        return neuron(norm(x))

    def over_time(self, x: Tensor) -> Tensor:
        """The mean over time, [T·B, ...] -> [B, ...]. All behind the last neuron is linear, so it may come right there:
        the last convolution then runs once, not T times."""
        return x
