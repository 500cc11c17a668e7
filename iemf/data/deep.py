"""PNG files of 16 bits a sample, of which Pillow keeps the upper eight: all bits, brought to 8 of them.

White is 65535 as the format has it, but for files whose samples are stored as a camera of fewer bits gives them, and
come out nearly black: where the brightest is below 2^b of the chunk sBIT, white is 2^b - 1; without that chunk, where
the brightest is below 4096, it is 4095. That is decided of each file by itself, from all of it.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTH = len(SIGNATURE) + 16  # where the header says how many bits a sample has
USUAL_BITS = 12  # of cameras and scanners whose files do not say


def is_deep(path: Path) -> bool:
    """Whether a file is a PNG file of 16 bits."""
    with path.open("rb") as file:
        begin = file.read(DEPTH + 1)
    return begin.startswith(SIGNATURE) and begin[DEPTH:] == b"\x10"


def read(data: bytes) -> Image.Image:
    """The content of such a file as an image of mode L, LA, RGB or RGBA, as it lies there: not turned by its EXIF data.

    Raises:
        ValueError: it is damaged.
    """
    try:
        samples = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.UNCHANGED)
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())) from None
    pixels = samples.permute(1, 2, 0).numpy().astype(np.int64)
    said = dict(_chunks(data))
    of_colour = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    eight = _to_eight(of_colour, _white(int(of_colour.max()), said.get(b"sBIT", b"")[: of_colour.shape[2]]))
    if of_colour is not pixels:
        eight = np.concatenate([eight, _to_eight(pixels[..., -1:], 65535)], axis=2)
    elif b"tRNS" in said:  # the one colour that stands for "nothing here"
        nothing = (of_colour == np.frombuffer(said[b"tRNS"], ">u2")).all(2, keepdims=True)
        eight = np.concatenate([eight, np.where(nothing, 0, 255).astype(np.uint8)], axis=2)
    return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight)


def grey(picture: Image.Image) -> Image.Image:
    """A Pillow image of mode I or I;16 as one of mode L, by the same rule."""
    samples = np.asarray(picture).astype(np.int64).clip(0, 65535)
    return Image.fromarray(_to_eight(samples, _white(int(samples.max()), b"")))


def _white(brightest: int, significant: bytes) -> int:
    """The sample that is white, given the bits of each colour by sBIT, if it is there."""
    bits = max(significant, default=USUAL_BITS)
    return 2**bits - 1 if brightest < 2**bits else 65535


def _to_eight(samples: np.ndarray, white: int) -> np.ndarray:
    return ((255 * samples + white // 2) // white).astype(np.uint8)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of what stands before the pixels."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"IDAT":
            return
        yield name, data[place + 8 : place + 8 + length]
        place += length + 12
