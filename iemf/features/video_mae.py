"""VideoMAE (Tong et al. 2022) as frozen encoder: sixteen frames become 8 x 196 features of 768 numbers.

The last hidden state of the Hugging Face model, tokens in the order of time, then place.
"""

from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.functional as TF
from torch import Tensor, nn

from iemf.data import video
from iemf.errors import UserError

DEFAULT = "MCG-NJU/videomae-base"
# Of ImageNet, as the published preprocessing of these weights has it.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VideoMAE(nn.Module):
    """Frames uint8 [B, frames, 3, side, side] to features [B, times, places, D].

    Args:
        name: of weights on the Hugging Face hub, or a local folder with config.json and the weights.

    Attributes:
        frames: how many a clip is looked at in; 16.
        side: of a frame in pixels; 224.
        shape: (times, places, D) of a clip; (8, 196, 768).

    Raises:
        UserError: the package transformers is missing, or the weights cannot be had.
    """

    def __init__(self, name: str = DEFAULT) -> None:
        super().__init__()
        try:
            from transformers import VideoMAEModel
        except ImportError:
            raise UserError('VideoMAE needs the package transformers: pip install -e ".[extract]"') from None
        try:
            self.network, loading = VideoMAEModel.from_pretrained(name, output_loading_info=True)
            if missing := sorted(loading["missing_keys"]):
                raise ValueError(f"{missing[0]} is missing, {len(missing)} in all")
        except Exception as error:  # damaged weights make their reader fail in any way whatever
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"`video_mae` {name}: no weights of VideoMAE ({reason}); name a hub model or a local "
                            f"folder") from None  # fmt: skip
        config = self.network.config
        self.frames, self.side = config.num_frames, config.image_size
        places = (config.image_size // config.patch_size) ** 2
        self.shape = (config.num_frames // config.tubelet_size, places, config.hidden_size)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        pixels = (frames.float() / 255 - self.mean) / self.deviation
        return self.network(pixel_values=pixels).last_hidden_state.unflatten(1, self.shape[:2])


def read_frames(path: Path, count: int, side: int) -> Tensor:
    """``count`` frames spread evenly over a film, first and last among them: uint8 [count, 3, side, side].

    The shorter side becomes ``side`` pixels, bilinear, and the middle is cut out, as the weights were trained.

    Raises:
        UserError: the film cannot be decoded.
    """
    chosen = video.frames(path, lambda there: np.linspace(0, there - 1, count).round().astype(int).tolist())
    pixels = torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2)
    return TF.center_crop(TF.resize(pixels, [side], antialias=True), [side])
