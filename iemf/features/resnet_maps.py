"""Maps of ResNet-18 (He et al. 2016), of the shape that MUSIC-AVQA's have: [512, 14, 14].

torchvision's network with ImageNet weights up to its last block; no pooling. That takes frames of 448 x 448 pixels; the
public features were made of 224 x 224 by a network of finer strides.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

from iemf.errors import UserError
from iemf.features.weights import read_state_dict

CHANNELS = 512
SIDE = 448  # pixels
STRIDE = 32  # pixels a place of the map
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, by which the weights want it scaled


class ResNetMaps(nn.Module):
    """Frames uint8 [N, 3, H, W] to maps [N, 512, H / 32, W / 32].

    Args:
        weights: a local state dict of torchvision's resnet18; None: torchvision's own, downloaded once.

    Raises:
        UserError: the file is missing, unreadable or of another network; or the download fails.
    """

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        if weights is None:
            try:
                network = resnet18(weights=ResNet18_Weights.IMAGENET1K_V1)
            except OSError as error:
                raise UserError(f"ResNet-18's weights cannot be downloaded ({error}); name a local file with "
                                f"`resnet`") from None  # fmt: skip
        else:
            network = resnet18(weights=None)
            try:
                network.load_state_dict(read_state_dict(weights))
            except RuntimeError as error:
                raise UserError(f"{weights} is no ResNet-18: {' '.join(str(error).split())[:200]}") from None
        self.body = nn.Sequential(*list(network.children())[:-2])  # all but pooling and classifier
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        return self.body((frames.float() / 255 - self.mean) / self.deviation)
