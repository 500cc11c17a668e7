"""One clip from files to stored bytes, and what cannot be stored."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from iemf.data import image
from iemf.data.clip import Clip
from iemf.data.preparation.encode import Form, encode, evenly
from iemf.errors import UserError
from tests.media import tone, write_picture, write_sound, write_video

FORM = Form(seconds=1.0, frames=4, frame_size=32)


def picture(data):
    return Image.open(io.BytesIO(data))


def test_a_film_gives_sound_and_small_frames(tmp_path):
    path = tmp_path / "x.mp4"
    write_video(path, 1.5)
    row = encode(Clip("x", 2, path, (path,)), FORM)
    assert (row.id, row.label) == ("x", 2)
    assert len(row.audio) == 2 * 22050
    assert np.abs(np.frombuffer(row.audio, "<i2")).max() == pytest.approx(0.5 * 32767, rel=0.08)
    assert [picture(frame).size for frame in row.frames] == [(43, 32)] * 4
    red = [np.asarray(picture(frame))[..., 0].mean() for frame in row.frames]
    assert red == pytest.approx([255 * k / 29 for k in (3, 11, 18, 26)], abs=15)


def test_a_small_jpeg_is_kept_as_it_is_and_others_are_not(tmp_path):
    write_sound(tmp_path / "x.wav")

    def frames(name):
        return encode(Clip("x", 0, tmp_path / "x.wav", (tmp_path / name,)), FORM).frames

    write_picture(tmp_path / "small.jpg", size=(40, 30))
    assert frames("small.jpg") == [(tmp_path / "small.jpg").read_bytes()]
    write_picture(tmp_path / "large.jpg", size=(400, 100))
    assert picture(frames("large.jpg")[0]).size == (128, 32)
    write_picture(tmp_path / "small.png", size=(40, 30))
    assert picture(frames("small.png")[0]).format == "JPEG"
    Image.new("CMYK", (20, 20)).save(tmp_path / "print.jpg")
    assert picture(frames("print.jpg")[0]).mode == "RGB"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    assert picture(frames("turned.jpg")[0]).size == (10, 20)


def test_sixteen_bits_keep_their_greys_prepared_or_raw(tmp_path):
    write_sound(tmp_path / "x.wav")
    ramp = np.linspace(0, 65535, 900).reshape(30, 30).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    stored = encode(Clip("x", 0, tmp_path / "x.wav", (tmp_path / "deep.png",)), FORM).frames
    for pixels in (np.asarray(picture(stored[0])), image.read(tmp_path / "deep.png").permute(1, 2, 0).numpy()):
        assert np.abs(pixels[..., 0].astype(int) - ramp // 257).max() <= 4


def test_a_turned_picture_is_upright_prepared_or_raw(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    assert image.read(tmp_path / "turned.jpg").shape == (3, 20, 10)


@pytest.mark.parametrize(("count", "most", "positions"), [(10, 3, [1, 5, 8]), (3, 16, [0, 1, 2]), (1, 1, [0])])
def test_no_frame_is_stored_twice(count, most, positions):
    assert evenly(count, most) == positions


def spoil(tmp_path, kind):
    """(a clip with one fault, the words its reason must hold)."""
    sound, image = tmp_path / "x.wav", tmp_path / "x.jpg"
    write_sound(sound)
    write_picture(image)
    clip = Clip("x", 0, sound, (image,))
    if kind == "silent":
        soundfile.write(sound, np.full(16000, 5e-5, np.float32), 16000, subtype="FLOAT")
        return clip, r"x\.wav is silent"
    if kind == "empty file":
        sound.write_bytes(b"")
        return clip, r"x\.wav is empty"
    if kind == "no samples":
        soundfile.write(sound, np.zeros(0, np.float32), 16000)
        return clip, r"x\.wav holds no sound"
    if kind == "truncated sound":
        sound.write_bytes(sound.read_bytes()[:20000])
        return clip, r"x\.wav is truncated: 12043 bytes are missing"
    if kind == "truncated picture":
        write_picture(image, size=(300, 200))
        image.write_bytes(image.read_bytes()[:1000])
        return clip, r"x\.jpg cannot be read as an image"
    if kind == "no such file":
        image.unlink()
        return clip, r"x\.jpg cannot be read \(No such file"
    if kind == "not a number":
        soundfile.write(sound, np.array([0.1, np.nan], np.float32), 16000, subtype="FLOAT")
        return clip, "not finite numbers"
    if kind == "frames of two sizes":
        write_picture(tmp_path / "y.jpg", size=(50, 30))
        return Clip("x", 0, sound, (image, tmp_path / "y.jpg")), "differ in size"
    if kind == "known before":
        return Clip("x", 0, None, (), "no file of this name"), "no file of this name"
    if kind in ("truncated .mp3", "truncated .ogg"):
        packed = tmp_path / f"x{kind[-4:]}"
        soundfile.write(packed, tone(3, 440, 16000), 16000)
        packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 3])
        return Clip("x", 0, packed, (image,)), rf"x\{kind[-4:]} (is truncated|cannot be read)"
    if kind == "picture bomb":
        Image.new("1", (20000, 20000)).save(tmp_path / "x.png")
        return Clip("x", 0, sound, (tmp_path / "x.png",)), r"x\.png cannot be read as an image \(Image size"
    raise AssertionError(kind)


KINDS = ["silent", "empty file", "no samples", "truncated sound", "truncated picture", "no such file", "not a number",
         "frames of two sizes", "known before", "truncated .mp3", "truncated .ogg", "picture bomb"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_used_says_why(tmp_path, kind):
    clip, words = spoil(tmp_path, kind)
    with pytest.raises(UserError, match=words):
        encode(clip, FORM)


def test_quiet_is_not_silent_and_a_pipes_header_not_truncated(tmp_path):
    write_picture(tmp_path / "x.jpg")
    soundfile.write(tmp_path / "x.wav", 4e-4 * tone(1, 440, 16000), 16000, subtype="FLOAT")
    clip = Clip("x", 0, tmp_path / "x.wav", (tmp_path / "x.jpg",))
    encode(clip, FORM)
    data = bytearray((tmp_path / "x.wav").read_bytes())
    data[4:8] = b"\xff\xff\xff\xff"
    (tmp_path / "x.wav").write_bytes(data)
    encode(clip, FORM)
