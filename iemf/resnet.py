"""ResNet-18 with pre-activation blocks, one topology for artificial and spiking networks.

    stem:  7x7 conv /2 - norm - neuron - 3x3 max-pool /2
    block: norm - neuron - 3x3 conv - norm - neuron - 3x3 conv, + x; where the shape changes x goes through
           norm - neuron - 1x1 conv. Two blocks in each of four stages, width w, 2w, 4w, 8w.
    head:  mean over space, then over time -> [B, 8w]. No norm or neuron after the last stage: features are real.

The neuron is handed in and sees [T, B, C, H, W]; everything else sees time folded into the batch, [T·B, C, H, W]. The
input is the same at every time step, so the stem's conv and norm run once.
"""

from collections.abc import Callable

from torch import Tensor, nn

NeuronFactory = Callable[[], nn.Module]


def fire(neuron: nn.Module, x: Tensor, time_steps: int) -> Tensor:
    """Apply a neuron over [T, B, ...] to a tensor whose time axis is folded into the batch, [T·B, ...]."""
    return neuron(x.unflatten(0, (time_steps, -1))).flatten(0, 1)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


class Shortcut(nn.Module):
    """norm - neuron - 1x1 conv, where a block changes the shape."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, neuron: NeuronFactory) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.neuron = neuron()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor, time_steps: int) -> Tensor:
        return self.conv(fire(self.neuron, self.norm(x), time_steps))


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

    def forward(self, x: Tensor, time_steps: int) -> Tensor:
        y = self.conv1(fire(self.neuron1, self.norm1(x), time_steps))
        y = self.conv2(fire(self.neuron2, self.norm2(y), time_steps))
        return y + (x if self.shortcut is None else self.shortcut(x, time_steps))


class ResNet18(nn.Module):
    """[B, C, H, W] -> features [B, 8·width].

    Args:
        in_channels: C.
        width: channels of the first stage (64 as published).
        neuron: makes a fresh neuron for each place, e.g. ``nn.ReLU``; elementwise over [T, B, C, H, W].
        time_steps: T; 1 for a network without time.
    """

    def __init__(self, in_channels: int, width: int, neuron: NeuronFactory, time_steps: int = 1) -> None:
        super().__init__()
        if in_channels < 1 or width < 1 or time_steps < 1:
            raise ValueError(f"in_channels, width, time_steps must be >= 1, got {in_channels}, {width}, {time_steps}")
        self.time_steps = time_steps
        self.features = 8 * width
        self.stem_conv = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.stem_neuron = neuron()
        self.stem_pool = nn.MaxPool2d(3, stride=2, padding=1)
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

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_norm(self.stem_conv(x))
        x = self.stem_neuron(x.expand(self.time_steps, *x.shape)).flatten(0, 1)
        x = self.stem_pool(x)
        for block in self.blocks:
            x = block(x, self.time_steps)
        return x.mean(dim=(2, 3)).unflatten(0, (self.time_steps, -1)).mean(0)
