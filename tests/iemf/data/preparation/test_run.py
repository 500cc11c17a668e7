"""When a shard is made again, and what an interrupted second run leaves."""

import io
import os
import signal
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from iemf.data.preparation import manifest, run
from iemf.data.preparation.encode import Form
from iemf.data.preparation.shard import Row, Shard, read_metadata, write
from iemf.data.sets import urbansound8k_av
from iemf.errors import UserError
from tests import official
from tests.media import write_picture

FORM = Form(0.6, 1, 32)


@pytest.fixture
def listing(tmp_path):
    official.urbansound8k_av(tmp_path / "raw", per_class=6)
    return urbansound8k_av.list_clips(tmp_path / "raw")


def prepare(listing, tmp_path, form=FORM):
    return run.prepare(listing, tmp_path / "raw", tmp_path / "out", "urbansound8k-av", form, 1, 0.5, progress=False)


def fingerprints(listing, tmp_path, form=FORM):
    return [job.fingerprint for job in run.plan(listing, tmp_path / "raw", tmp_path / "out", form)]


def test_a_shards_fingerprint_is_of_clips_labels_files_and_form(listing, tmp_path):
    before = fingerprints(listing, tmp_path)
    assert fingerprints(listing, tmp_path) == before
    clips = listing.splits["train"]
    for changed in (replace(clips[0], label=2), replace(clips[0], id="x"), replace(clips[0], problem="lost")):
        other = replace(listing, splits=listing.splits | {"train": [changed, *clips[1:]]})
        assert fingerprints(other, tmp_path)[0] != before[0]
        assert fingerprints(other, tmp_path)[1:] == before[1:]
    assert fingerprints(listing, tmp_path, replace(FORM, quality=50))[0] != before[0]
    assert fingerprints(replace(listing, classes=("a", "b", "c")), tmp_path)[0] != before[0]
    write_picture(clips[0].images[0], size=(50, 30))
    assert fingerprints(listing, tmp_path)[0] != before[0]


def test_an_interrupted_second_run_does_not_pass_for_the_first(listing, tmp_path, monkeypatch):
    prepare(listing, tmp_path)
    write_picture(listing.splits["train"][0].images[0], size=(50, 30))

    def interrupted(job):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "make_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(listing, tmp_path)
    assert not (tmp_path / "out" / manifest.MANIFEST).exists()
    assert prepare(listing, tmp_path)["shards"]


def test_shards_that_are_no_longer_wanted_are_removed(listing, tmp_path):
    prepare(listing, tmp_path)
    shards = tmp_path / "out" / manifest.SHARDS
    (shards / "train-00009.arrow").write_bytes(b"of another plan")
    (shards / ".test-00000.arrow.123").write_bytes(b"half a shard")
    (shards / "notes.txt").write_text("the user's own")
    write_picture(listing.splits["train"][0].images[0], size=(50, 30))
    prepare(listing, tmp_path)
    assert sorted(p.name for p in shards.iterdir()) == ["notes.txt", "test-00000.arrow", "train-00000.arrow"]


def test_a_decoder_that_fails_in_its_own_way_is_recorded(listing, tmp_path, monkeypatch):
    def fail(clip, form):
        raise IndexError("inside\na decoder")

    job = run.plan(listing, tmp_path / "raw", tmp_path / "out", FORM)[0]
    job.path.parent.mkdir(parents=True)
    monkeypatch.setattr(run, "encode", fail)
    assert run.make_shard(job) == (len(job.clips), len(job.clips))
    reason = read_metadata(job.path)["skipped"][0]["reason"]
    assert reason.endswith("cannot be decoded (IndexError: inside a decoder)")


def make_shard_and_die(job):
    """:func:`run.make_shard`, in a process that one clip ends: as a decoder does that writes where it must not."""
    encode = run.encode

    def fatal(clip, form):
        if clip.id == os.environ["FATAL"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        return encode(clip, form)

    run.encode = fatal
    return MAKE_SHARD(job)


MAKE_SHARD = run.make_shard


def test_a_file_that_crashes_the_decoder_is_named_and_skipped_and_the_rest_is_there(listing, tmp_path, monkeypatch):
    def skipped():
        return {line["clip"]: line["reason"] for line in manifest.read_skipped(tmp_path / "out" / manifest.SKIPPED)}

    fatal = listing.splits["train"][2]
    monkeypatch.setenv("FATAL", fatal.id)
    monkeypatch.setattr(run, "make_shard", make_shard_and_die)
    run.prepare(listing, tmp_path / "raw", tmp_path / "out", "urbansound8k-av", FORM, 2, 0.5, progress=False)
    assert skipped()[fatal.id] == (
        f"{fatal.files[0]} or a file beside it ends the process that decodes it; repair or remove it"
    )
    monkeypatch.undo()
    others = {reason for name, reason in skipped().items() if name != fatal.id}
    run.prepare(listing, tmp_path / "raw", tmp_path / "again", "urbansound8k-av", FORM, 1, 0.5, progress=False)
    again = manifest.read_skipped(tmp_path / "again" / manifest.SKIPPED)
    assert {line["reason"] for line in again} == others
    assert not list((tmp_path / "out").rglob("*.decoding"))


def test_an_error_leaves_no_mark_and_the_mark_of_a_dead_process_is_read(listing, tmp_path, monkeypatch):
    apart = []
    job = run.plan(listing, tmp_path / "raw", tmp_path / "out", FORM)[0]
    run.claim(tmp_path / "out", "urbansound8k-av", FORM)
    job.mark.write_text("2")
    monkeypatch.setattr(run, "_apart", lambda job: (apart.append(job.path.name), run.make_shard(job))[1])
    prepare(listing, tmp_path)
    assert apart == ["train-00000.arrow"]
    assert not job.mark.exists()


def test_a_shard_whose_offsets_lead_outside_is_refused(tmp_path):
    path = tmp_path / "x.arrow"
    write(path, [Row("x", 0, b"abcd" * 11, [b"x"])], {})
    offsets = np.array([0, 44], np.int64).tobytes()
    content = path.read_bytes()
    assert content.count(offsets) == 1
    path.write_bytes(content.replace(offsets, np.array([0, 2**40], np.int64).tobytes()))
    with pytest.raises(UserError, match=r"x\.arrow cannot be read"):
        Shard(path)
    with path.open("wb") as file, pa.ipc.new_file(file, pa.schema([("id", pa.string())])) as writer:
        writer.write_batch(pa.record_batch([pa.array(["x"])], names=["id"]))
    with pytest.raises(UserError, match="other columns than a shard's"):
        Shard(path)


def test_a_picture_whose_header_claims_four_billion_pixels_is_refused(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (16, 16)).save(picture, "JPEG")
    content = bytearray(picture.getvalue())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = b"\xff\x00\xff\x00"
    write(tmp_path / "x.arrow", [Row("x", 0, bytes(8), [bytes(content)])], {})
    with pytest.raises(UserError, match="holds a picture of 65280 x 65280"):
        Shard(tmp_path / "x.arrow").read(0, lambda count: [0], 4)
    write(tmp_path / "y.arrow", [Row("x", 0, bytes(8), [b"no picture"])], {})
    with pytest.raises(UserError, match=r"y\.arrow holds a damaged picture"):
        Shard(tmp_path / "y.arrow").read(0, lambda count: [0], 4)
