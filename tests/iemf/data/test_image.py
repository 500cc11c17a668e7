"""Image files of every kind as the pixels that people see."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from iemf.data import image
from iemf.errors import UserError

GREY, GREY_ALPHA, RGB, RGBA = 0, 4, 2, 6  # PNG's colour types


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def write_deep(path, samples, kind, *extra):
    """A PNG file of 16 bits from [H, W, channels]; ``extra`` chunks before the pixels."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def colours(path):
    """RGB of the pixels in a row."""
    return [tuple(pixel) for pixel in image.read(path)[:, 0].T.tolist()]


def write_transparent(path, mode):
    """Three pixels, red or grey 100: opaque, half transparent, and one not there but with a colour of its own."""
    red = [(255, 0, 0, 255), (255, 0, 0, 128), (0, 255, 0, 0)]
    if mode in ("RGBA", "LA"):
        grey = [(100, 255), (100, 128), (0, 0)]
        picture = Image.new(mode, (3, 1))
        picture.putdata(red if mode == "RGBA" else grey)
        picture.save(path, lossless=True, exact=True) if path.suffix == ".webp" else picture.save(path)
    elif mode == "P":
        picture = Image.new("P", (3, 1))
        picture.putpalette([255, 0, 0, 255, 0, 0, 0, 255, 0])
        picture.putdata([0, 1, 2])
        picture.save(path, transparency=bytes([255, 128, 0]))
    else:  # one colour that stands for "nothing here"
        picture = Image.new(mode, (3, 1))
        picture.putdata([(255, 0, 0), (255, 127, 127), (0, 255, 0)] if mode == "RGB" else [100, 177, 0])
        picture.save(path, transparency=(0, 255, 0) if mode == "RGB" else 0)


@pytest.mark.parametrize(("mode", "name"), [("RGBA", "a.png"), ("RGBA", "a.webp"), ("LA", "a.png"), ("P", "a.png"),
                                            ("RGB", "a.png"), ("L", "a.png")])  # fmt: skip
def test_transparent_pictures_lie_on_white(tmp_path, mode, name):
    """Half of red on white is (255, 127, 127), half of grey 100 is 177.3."""
    write_transparent(tmp_path / name, mode)
    first, half = ((100, 100, 100), (177, 177, 177)) if mode.startswith("L") else ((255, 0, 0), (255, 127, 127))
    found = colours(tmp_path / name)
    assert found[::2] == [first, (255, 255, 255)]
    assert found[1] == pytest.approx(half, abs=1)


@pytest.mark.parametrize(
    ("brightest", "bits", "white"),
    [(65535, None, 65535), (4096, None, 65535), (4095, None, 4095), (1000, None, 4095), (1000, 10, 1023),
     (60000, 12, 65535), (4000, 14, 16383), (65535, 16, 65535), (4000, 16, 65535)],
)  # fmt: skip
@pytest.mark.parametrize("kind", [GREY, GREY_ALPHA, RGB, RGBA])
def test_sixteen_bits_are_as_bright_as_they_were_taken(tmp_path, brightest, bits, white, kind):
    """12-bit data as a camera gives them, in files of 16 bits: 4095 is white, not 1/16 of it."""
    channels = {GREY: 1, GREY_ALPHA: 2, RGB: 3, RGBA: 4}[kind]
    samples = np.repeat(np.array([0, brightest // 2, brightest])[None, :, None], channels, axis=2)
    if kind in (GREY_ALPHA, RGBA):
        samples[..., -1] = 65535
    said = [] if bits is None else [chunk(b"sBIT", bytes([bits] * channels))]
    write_deep(tmp_path / "a.png", samples, kind, *said)
    expected = [0, 255 * (brightest // 2) / white, 255 * brightest / white]
    assert [pixel[0] for pixel in colours(tmp_path / "a.png")] == pytest.approx(expected, abs=0.51)


def test_sixteen_bits_of_another_format(tmp_path):
    """A TIFF file under a wrong name is one that people's viewers open."""
    for brightest, expected in ((65535, 255), (4095, 255), (32896, 128)):
        Image.fromarray(np.array([[0, brightest]], np.uint16)).save(tmp_path / "a.png", format="TIFF")
        assert colours(tmp_path / "a.png") == [(0,) * 3, (expected,) * 3]


def test_transparency_of_sixteen_bits(tmp_path):
    alpha = np.array([[[60000, 65535], [60000, 0]]])
    write_deep(tmp_path / "a.png", alpha, GREY_ALPHA)
    assert colours(tmp_path / "a.png") == [(233,) * 3, (255,) * 3]  # 60000 / 257 = 233.5
    write_deep(tmp_path / "b.png", np.array([[[60000], [5000]]]), GREY, chunk(b"tRNS", struct.pack(">H", 5000)))
    assert colours(tmp_path / "b.png") == [(233,) * 3, (255,) * 3]
    pixels = np.array([[[60000, 0, 0], [0, 60000, 1]]])
    write_deep(tmp_path / "c.png", pixels, RGB, chunk(b"tRNS", struct.pack(">HHH", 0, 60000, 1)))
    assert colours(tmp_path / "c.png") == [(233, 0, 0), (255,) * 3]


@pytest.mark.parametrize("kind", ["a.jpg", "a.png", "deep.png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(tmp_path, orientation, kind):
    """The camera's own words for where the first row and column are; the bright corner belongs at the top left."""
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 255
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
              6: np.rot90(upright, 1), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1)}[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[image.ORIENTATION] = orientation
    path = tmp_path / kind
    if kind == "deep.png":
        turn = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        write_deep(path, stored[..., None].astype(int) * 257, GREY, turn)
    else:
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100)
    found = image.read(path)
    assert found.shape == (3, 16, 32)
    assert np.abs(found[0].numpy().astype(int) - upright).max() < 40


def test_other_kinds_of_pixels(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    assert image.read(tmp_path / "print.jpg")[:, 4, 4].tolist() == pytest.approx([255, 0, 0], abs=3)
    Image.new("1", (8, 8), 1).save(tmp_path / "bits.png")
    assert image.read(tmp_path / "bits.png")[:, 4, 4].tolist() == [255, 255, 255]
    palette = Image.new("P", (8, 8))
    palette.putpalette([0, 0, 255])
    palette.save(tmp_path / "palette.png")
    assert image.read(tmp_path / "palette.png")[:, 4, 4].tolist() == [0, 0, 255]


def test_a_damaged_picture_of_sixteen_bits_is_named(tmp_path):
    write_deep(tmp_path / "a.png", np.random.default_rng(0).integers(0, 65536, (40, 40, 3)), RGB)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image \(.*\); repair or remove it") as caught:
        image.read(tmp_path / "a.png")
    assert "\n" not in str(caught.value)
