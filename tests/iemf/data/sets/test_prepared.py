"""Prepared data as training reads them: rows over several shards, splits, noise, epochs, workers."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from iemf.data.base import evaluation_loader
from iemf.data.clips import Clips, View
from iemf.data.noise import CLEAN, Noise
from iemf.data.preparation import manifest, run
from iemf.data.preparation.encode import Form
from iemf.data.preparation.shard import Shard
from iemf.data.sets import prepared, urbansound8k_av
from iemf.errors import UserError
from tests import official

VIEW = View(1, 24, 0.5)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """27 clips in shards of four."""
    folder = tmp_path_factory.mktemp("urban")
    official.urbansound8k_av(folder / "raw")
    rng = np.random.default_rng(0)
    for path in (folder / "raw").rglob("*.jpg"):  # pictures in which every crop differs
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "CLIPS_A_SHARD", 4)
        listing = urbansound8k_av.list_clips(folder / "raw")
        run.prepare(listing, folder / "raw", folder / "out", "urbansound8k-av", Form(0.6, 2, 32), 1, 0.2, False)
    return folder / "out"


def load(root, **options):
    return prepared.load(root, "urbansound8k-av", **({"view": VIEW} | options))


def test_every_row_is_its_own_clip_across_shards(root):
    files = sorted((root / manifest.SHARDS).glob("train-*"))
    assert len(files) > 4
    expected = [(label, row) for path in files for row, label in enumerate(Shard(path).labels)]
    source = prepared.Shards(files)
    assert source.labels == [label for label, _ in expected]
    position = 0
    for path in files:
        shard = Shard(path)
        for row in range(len(shard.ids)):
            ours, theirs = source.read(position, lambda _: [0], 0.5), shard.read(row, lambda _: [0], 11025)
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
            position += 1


def test_splits_are_disjoint_and_validation_has_a_seed_of_its_own(root):
    data = load(root)
    assert not set(data.train.rows) & set(data.val.rows)
    assert sorted(data.train.rows + data.val.rows) == list(range(len(data.train.source.labels)))
    assert len({tuple(load(root, split_seed=seed).val.rows) for seed in range(5)}) > 1
    assert load(root, split_seed=3).val.rows == load(root, split_seed=3).val.rows
    assert load(root, seed=3).val.rows == data.val.rows
    assert {data.val.source.labels[row] for row in data.val.rows} == {0, 1, 2}


def pictures(split, **options):
    return torch.cat([batch.visual for batch in evaluation_loader(split, 4, **options)])


def test_only_training_is_augmented_and_anew_in_every_epoch(root):
    data = load(root)
    before = {name: pictures(getattr(data, name)) for name in ("train", "val", "test")}
    data.set_epoch(1)
    after = {name: pictures(getattr(data, name)) for name in before}
    assert [torch.equal(before[name], after[name]) for name in before] == [False, True, True]
    assert not torch.equal(before["train"], pictures(load(root, seed=1).train))
    for split in (data.val, data.test):  # resized, not cropped
        plain = Clips(split.source, split.rows, VIEW, training=False)
        assert torch.equal(pictures(split), pictures(plain))


@pytest.mark.parametrize("context", [None, "spawn"])
def test_workers_read_what_the_process_itself_reads(root, context):
    data = load(root)
    alone = pictures(data.train)
    loader = evaluation_loader(data.train, 4, workers=2)
    loader.multiprocessing_context = context
    assert torch.equal(torch.cat([batch.visual for batch in loader]), alone)


def test_open_shards_do_not_travel(root):
    data = load(root)
    _ = data.test[0]
    assert data.test.source.open
    copy = pickle.loads(pickle.dumps(data.test))
    assert copy.source.open == {}
    assert torch.equal(copy[0].visual, data.test[0].visual)


def test_the_test_split_has_its_own_noise_and_no_two_splits_share_theirs(root):
    clean, noisy = load(root), load(root, noise=Noise((0.0, 0.0), CLEAN), test_noise=Noise())
    assert torch.equal(noisy.test[0].audio, clean.test[0].audio)
    assert not torch.equal(noisy.val[0].audio, clean.val[0].audio / 32767)
    both = load(root, noise=Noise((0.0, 0.0), CLEAN))
    row = both.val.rows[0]
    both.test.rows = [row]
    noise = [
        (split[0].audio - quiet[0].audio / 32767)
        for split, quiet in ((both.val, clean.val), (both.test, Clips(clean.test.source, [row], VIEW, False)))
    ]
    assert torch.corrcoef(torch.stack(noise))[0, 1].abs() < 0.05


def test_more_than_is_stored_is_refused(root):
    with pytest.raises(UserError, match=r"prepared with 0\.6 s of sound, `seconds` 1 is more"):
        load(root, view=View(1, 24, 1.0))
    with pytest.raises(UserError, match=r"prepared with 2 frame\(s\) of a clip, `frames` 3 is more"):
        load(root, view=View(3, 24, 0.5))
