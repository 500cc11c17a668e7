"""When a shard is made again, and what an interrupted second run leaves."""

from dataclasses import replace

import pytest

from iemf.data.preparation import manifest, run
from iemf.data.preparation.encode import Form
from iemf.data.sets import urbansound8k_av
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
    from iemf.data.preparation.shard import read_metadata

    reason = read_metadata(job.path)["skipped"][0]["reason"]
    assert reason.endswith("cannot be decoded (IndexError: inside a decoder)")
