"""A class tree: what is a clip, and what is said of everything else."""

import os
import shutil
import unicodedata

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from iemf.data import audio, image, video
from iemf.data.class_tree import Remarks, is_media, list_class, read_tree
from iemf.data.sets import folder
from iemf.errors import UserError
from tests.media import tone


def make(root, files):
    """Empty files."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def small_tree(root, *more):
    """Two classes of one film in train and test."""
    make(root, [f"{split}/{name}/{split}{name}.mp4" for split in ("train", "test") for name in ("cat", "dog")])
    make(root, more)
    return root


def problems(root):
    """{clip: its problem} of the faulty ones."""
    return {c.id: c.problem for clips in read_tree(root).splits.values() for c in clips if c.problem}


@pytest.mark.parametrize("suffix", [".m4a", ".aac", ".opus", ".wma", ".aiff", ".mp2", ".OGG"])
def test_sounds_of_these_kinds_belong_to_their_pictures(tmp_path, suffix):
    small_tree(tmp_path, f"train/cat/1{suffix}", "train/cat/1.jpg")
    clip = next(clip for clip in read_tree(tmp_path).splits["train"] if clip.id == "1")
    assert (clip.sound.name, clip.images[0].name, clip.problem) == (f"1{suffix}", "1.jpg", "")


@pytest.mark.parametrize("suffix", [".3gp", ".webm", ".mkv", ".mov", ".m4v", ".mts", ".wmv", ".flv", ".mpg"])
def test_films_of_these_kinds_are_clips(tmp_path, suffix):
    small_tree(tmp_path, f"train/cat/1{suffix}")
    clip = next(clip for clip in read_tree(tmp_path).splits["train"] if clip.id == "1")
    assert clip.sound == clip.film == tmp_path / f"train/cat/1{suffix}"


def test_ffmpeg_knows_every_kind_of_file_that_is_left_to_it():
    named = {f".{suffix}" for name in av.formats_available for suffix in _extensions(name)}
    # That its demuxers tell by the content alone:
    named |= {".m4v", ".f4v", ".qt", ".m4b", ".weba", ".rm", ".vob", ".3g2"}
    assert not {*audio.FFMPEG, *video.EXTENSIONS} - named
    assert not set(image.EXTENSIONS) - set(Image.registered_extensions())
    assert len({*audio.EXTENSIONS, *video.EXTENSIONS, *image.EXTENSIONS}) == sum(
        map(len, (audio.EXTENSIONS, video.EXTENSIONS, image.EXTENSIONS))
    )


def _extensions(name):
    try:
        return av.ContainerFormat(name).extensions
    except ValueError:
        return ()


@pytest.mark.parametrize(
    ("suffix", "form", "codec"),
    [(".m4a", "mp4", "aac"), (".aac", "adts", "aac"), (".wma", "asf", "wmav2"), (".mka", "matroska", "flac"),
     (".mp2", "mp2", "mp2")],
)  # fmt: skip
def test_sound_that_ffmpeg_reads_is_the_tone_it_was_made_of(tmp_path, suffix, form, codec):
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=44100, layout="mono")
        stream.bit_rate = 128000
        planar = av.AudioResampler(stream.format, "mono", 44100, stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(tone(1.0, 1000.0)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        for part in [*planar.resample(frame), *planar.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    audio.check(path)
    wave = audio.read(path)
    assert len(wave) == pytest.approx(22050, rel=0.1)
    assert np.abs(np.fft.rfft(wave[2000:18000])).argmax() == pytest.approx(1000 * 16000 / 22050, abs=1)


@pytest.mark.parametrize(("suffix", "form", "subtype"), [(".aiff", "AIFF", "PCM_16"), (".opus", "OGG", "OPUS")])
def test_sound_that_libsndfile_reads(tmp_path, suffix, form, subtype):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(1.0, 1000.0, 48000), 48000, format=form, subtype=subtype)
    audio.check(path)
    assert len(audio.read(path)) == pytest.approx(22050, abs=2)


def test_a_film_is_no_sound_file(tmp_path):
    path = tmp_path / "a.m4a"
    path.write_bytes(b"not a sound")
    for read in (audio.check, audio.read):
        with pytest.raises(UserError, match=r"a\.m4a cannot be decoded"):
            read(path)


def test_what_lacks_its_other_half_lies_too_deep_or_is_of_another_kind_is_a_clip_with_a_problem(tmp_path):
    small_tree(
        tmp_path, "train/cat/1.jpg", "train/cat/2.wav", "train/cat/3.mid", "train/cat/4.wav", "train/cat/4/1.jpg",
        "train/cat/day 1/5.mp4", "train/cat/day 1/more/6.wav", "train/cat/7/1.jpg", "train/cat/7/2.jpg",
        "train/cat/8.wav", "train/cat/8.jpg", "train/cat/8/1.jpg",
    )  # fmt: skip
    assert problems(tmp_path) == {
        "1": "has no sound beside it: expected 1.wav, .mp3, .m4a or .mp4",
        "2": "has no image beside it: expected 2.jpg, .png, .mp4 or a folder 2/",
        "3": "is of a kind that is not read (.mid); convert it",
        "7": "lies in 7/, a folder of pictures without a sound of its name: expected 7.wav or .mp4",
        "day 1/5": "lies in day 1/, too deep to be read; move it into its class's folder",
        "day 1/more/6": "lies in day 1/more/, too deep to be read; move it into its class's folder",
    }
    with pytest.raises(UserError, match=r"1\.jpg has no sound beside it: .* \(6 such clips of 10\)"):
        folder.load(tmp_path)
    assert read_tree(tmp_path).remarks == ()


def test_media_kinds():
    assert is_media(folder.Path("a.mid"))
    assert is_media(folder.Path("a.3GP"))
    assert not is_media(folder.Path("a.txt"))


@pytest.mark.parametrize("name", ["val", "validation", "Valid", "dev"])
def test_validation_has_several_names(tmp_path, name):
    small_tree(tmp_path, f"{name}/cat/1.mp4", f"{name}/dog/2.mp4")
    assert {split: len(clips) for split, clips in read_tree(tmp_path).splits.items()} == {
        "train": 2, "val": 2, "test": 2,
    }  # fmt: skip


def test_two_folders_of_one_split_and_unknown_ones(tmp_path):
    small_tree(tmp_path, "val/cat/1.mp4", "val/dog/1.mp4", "unlabelled/x.mp4", "notes.txt", "train/list.csv")
    assert read_tree(tmp_path).remarks == (
        f"1 folder(s) that are no split, class or clip are not read: {tmp_path / 'unlabelled'}",
        f"2 other file(s) are not read (.txt 1, .csv 1): {tmp_path / 'notes.txt'}, ...",
    )
    (tmp_path / "dev").mkdir()
    with pytest.raises(UserError, match=r"dev and .*val are both val; merge them"):
        read_tree(tmp_path)
    shutil.rmtree(tmp_path / "dev")
    (tmp_path / "train").rename(tmp_path / "training")
    with pytest.raises(UserError, match=r"train is not a folder.*; .* holds training, unlabelled"):
        read_tree(tmp_path)


LITTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", ".ipynb_checkpoints", "System Volume Information")


def test_what_systems_leave_is_no_class_and_is_counted(tmp_path):
    made = [f"{place}{name}/x.mp4" for name in LITTER for place in ("", "train/", "test/", "train/cat/")]
    small_tree(tmp_path, *made, "train/.DS_Store", "train/cat/._1.mp4", "train/cat/._2.mp4", "train/dog/Thumbs.db")
    tree = read_tree(tmp_path)
    assert tree.classes == ("cat", "dog")
    assert {split: len(clips) for split, clips in tree.splits.items()} == {"train": 2, "test": 2}
    (line,) = tree.remarks
    assert line.startswith("24 left by systems are ignored: ")
    assert "$RECYCLE.BIN 4" in line
    (line,) = read_tree(small_tree(tmp_path / "other", "train/cat/._1.mp4", "train/cat/._2.mp4")).remarks
    assert line == "2 left by systems are ignored: ._* 2"


def test_names_in_either_form_of_unicode_are_one(tmp_path):
    one, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    make(tmp_path, [f"train/{one}/1.mp4", f"test/{other}/2 {one}.wav", f"test/{other}/2 {other}.jpg", "train/b/3.mp4",
                    "test/b/4.mp4"])  # fmt: skip
    tree = read_tree(tmp_path)
    assert tree.classes == ("b", one)
    assert [(clip.id, clip.problem) for clip in tree.splits["test"]] == [("4", ""), (f"2 {one}", "")]
    make(tmp_path, [f"train/{other}/5.mp4"])
    with pytest.raises(UserError, match="holds the class 'café' twice, its name written in two forms of Unicode"):
        read_tree(tmp_path)


def test_names_that_are_not_utf8_are_named(tmp_path):
    small_tree(tmp_path)
    (tmp_path / "train" / "cat" / "x.mp4").write_bytes(b"")
    os.rename(tmp_path / "train" / "cat" / "x.mp4", os.fsencode(tmp_path / "train" / "cat") + b"/\xe9.mp4")
    assert problems(tmp_path) == {"\udce9": r"has a name that is not UTF-8, '\udce9'; rename the file"}
    os.rename(tmp_path / "train" / "cat", os.fsencode(tmp_path / "train") + b"/caf\xe9")
    with pytest.raises(UserError, match=r"holds a class 'caf\\udce9' whose name is not UTF-8; rename the folder"):
        read_tree(tmp_path)


def test_files_that_are_in_train_and_test_are_counted(tmp_path):
    small_tree(tmp_path)
    content = {"train/cat/1.mp4": b"a" * 9000, "train/cat/2.mp4": b"b" * 9000, "test/dog/3.mp4": b"a" * 9000,
               "test/cat/4.mp4": b"b" * 9000, "test/cat/5.mp4": b"c" * 9000,
               "test/cat/6.mp4": b"a" * 8999, "val/cat/7.mp4": b"c" * 9000, "val/dog/8.mp4": b"d"}  # fmt: skip
    for file, data in content.items():
        make(tmp_path, [file])
        (tmp_path / file).write_bytes(data)
    lines = read_tree(tmp_path).remarks
    assert lines == (
        f"2 of 6 files in test are in train too, byte for byte: the first, {tmp_path / 'test/cat/4.mp4'}, is "
        f"{tmp_path / 'train/cat/2.mp4'}; remove one of each two",
        f"1 of 6 files in test are in val too, byte for byte: the first, {tmp_path / 'test/cat/5.mp4'}, is "
        f"{tmp_path / 'val/cat/7.mp4'}; remove one of each two",
    )


def test_files_alike_in_three_blocks_alone_are_not_the_same(tmp_path):
    small_tree(tmp_path)
    for file, odd in (("train/cat/1.mp4", b"x"), ("test/cat/2.mp4", b"y")):
        (tmp_path / file).write_bytes(b"a" * 10000 + odd + b"a" * 29999)
    assert read_tree(tmp_path).remarks == ()


def test_a_class_may_be_listed_by_itself(tmp_path):
    small_tree(tmp_path)
    assert [clip.id for clip in list_class(tmp_path / "train" / "cat", 0, Remarks())] == ["traincat"]
