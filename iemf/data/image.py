"""Images: reading files, cropping for training, resizing for evaluation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from iemf.data import deep
from iemf.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, per RGB channel in 0..1
STD = (0.229, 0.224, 0.225)
ORIENTATION = 0x0112  # EXIF
BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read(path: Path) -> Tensor:
    """An image file as RGB uint8 [3, H, W].

    Raises:
        UserError: the file cannot be decoded.
    """
    return v2.functional.pil_to_tensor(open_rgb(path)[0])


def open_rgb(path: Path) -> tuple[Image.Image, bool]:
    """(an image file in RGB, upright as its EXIF data say, on white; whether it is a JPEG file of just these pixels).

    Raises:
        UserError: the file cannot be decoded, or is too large to be a picture.
    """
    with _named(path), Image.open(path) as file:
        picture = deep.read(path.read_bytes()) if deep.is_deep(path) else file
        if picture.mode.startswith("I"):  # 16 bits in another format, which Pillow would clip at 255
            picture = deep.grey(picture)
        if picture is not file:
            picture.info["exif"] = file.getexif().tobytes()
        upright = ImageOps.exif_transpose(picture)
        as_it_is = file.format == "JPEG" and file.mode == "RGB" and upright.size == file.size
        as_it_is = as_it_is and file.getexif().get(ORIENTATION, 1) == 1
        return _on_white(upright), as_it_is


def _on_white(picture: Image.Image) -> Image.Image:
    """RGB; what is transparent shows white, as a page does, and not the colour that the file happens to have there."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in whatever PIL says of it."""
    try:
        yield
    except BROKEN as error:
        raise UserError(f"{path} cannot be read as an image ({error}); repair or remove it") from None


def check(path: Path) -> None:
    """Read the header alone.

    Raises:
        UserError: the file is no image.
    """
    with _named(path), Image.open(path):
        pass


def stack(pictures: Sequence[Tensor]) -> Tensor:
    """[..., 3, H, W] each to [N, ..., 3, H, W] with the channels last in memory.

    Decoders give them so and crops, resizing and convolutions want them so; torch.stack would turn them around, which
    takes longer than decoding.
    """
    return torch.stack([picture.movedim(-3, -1) for picture in pictures]).movedim(-1, -3)


def training_transform(size: int) -> v2.Transform:
    """Random resized crop to size x size and a random horizontal flip; the same for all frames of a clip."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, interpolation=InterpolationMode.BILINEAR, antialias=True),
            v2.RandomHorizontalFlip(),
        ]
    )


def evaluation_transform(size: int, crop_from: int | None = None) -> v2.Transform:
    """Resize to size x size; or the shorter side to ``crop_from``, and the middle size x size of that."""
    if crop_from is None:
        return v2.Resize((size, size), interpolation=InterpolationMode.BILINEAR, antialias=True)
    resize = v2.Resize(crop_from, interpolation=InterpolationMode.BILINEAR, antialias=True)
    return v2.Compose([resize, v2.CenterCrop(size)])


class Normalise(nn.Module):
    """uint8 [..., 3, H, W] to float32 with ImageNet's mean and deviation per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(STD).view(3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image.float() - self.mean) / self.std
