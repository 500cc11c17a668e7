"""experiments.prepare from archives: whole, damaged, changed, hostile."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import official
from tests.media import write_picture, write_sound
from tests.preparing import SMALL, content, ids, skipped


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_prepared_and_cleared_away(call, tmp_path, kind):
    raw, out = tmp_path / "raw" / "UrbanSound8K-AV", tmp_path / "out" / "prepared"
    official.urbansound8k_av(raw, per_class=6)
    packed = shutil.make_archive(str(tmp_path / "download"), {"zip": "zip", "tar.gz": "gztar"}[kind], tmp_path / "raw")
    command = ("prepare", "urbansound8k-av", "--source", packed, "--out", out, *SMALL, "--max-skipped", 0.5)
    for _ in range(2):  # the second time there is nothing to do
        assert call(*command)[0] == 0
        assert [p.name for p in out.parent.iterdir()] == ["prepared"]
    from_folder = tmp_path / "from folder"
    assert (
        call("prepare", "urbansound8k-av", "--source", raw, "--out", from_folder, *SMALL, "--max-skipped", 0.5)[0] == 0
    )
    assert ids(from_folder) == ids(out)


def test_what_an_archive_was_prepared_from_is_remembered(call, tmp_path):
    """Another seed or a mended archive is prepared anew, a lost shard made again, an unpacked folder is not left."""
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    official.urbansound8k_av(raw, per_class=6)

    def prepare(*options):
        packed = shutil.make_archive(str(tmp_path / "download"), "zip", raw)
        return call("prepare", "urbansound8k-av", "--source", packed, "--out", out, *SMALL, *options)

    code, _, error = prepare("--max-skipped", 0.01)
    assert code == 2
    assert "--max-skipped 0.01" in error
    write_picture(raw / "Dataset_v3_vision" / "car_horn" / "3-3-0-0.jpg", 0)
    assert prepare("--max-skipped", 0.5)[0] == 0
    assert "car_horn/3-3-0-0" not in skipped(out)
    first = ids(out)
    assert prepare("--max-skipped", 0.5, "--split-seed", 7)[0] == 0
    assert ids(out) != first
    assert "split seed 7" in (out / "manifest.json").read_text()
    (out / "shards" / "test-00000.arrow").unlink()
    assert prepare("--max-skipped", 0.5, "--split-seed", 7)[0] == 0
    assert (out / "shards" / "test-00000.arrow").exists()
    assert not list(out.glob("unpacked*"))


@pytest.mark.parametrize("damage", ["cut tar", "cut gz", "bad gz", "bad zip", "a web page"])
def test_a_damaged_archive_is_one_clear_line(call, tmp_path, damage):
    raw = tmp_path / "raw"
    official.urbansound8k_av(raw, per_class=6)
    kind = {"cut tar": "tar", "bad zip": "zip"}.get(damage, "gztar")
    packed = Path(shutil.make_archive(str(tmp_path / "download"), kind, raw))
    data = bytearray(packed.read_bytes())
    if damage == "cut tar":
        with tarfile.open(packed) as file:
            data = data[: file.getmembers()[-3].offset]
    elif damage == "a web page":
        data = b"<html>Sign in to download</html>"
    elif damage == "cut gz":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2 : len(data) // 2 + 2000] = b"\x55" * 2000
    packed.write_bytes(data)
    code, _, error = call("prepare", "urbansound8k-av", "--source", packed, "--out", tmp_path / "out", *SMALL)
    assert (code, error.count("\n")) == (2, 1)
    assert f"{packed.name} cannot be unpacked" in error
    assert "download it again" in error
    assert not (tmp_path / "out" / "unpacked").exists()


@pytest.mark.parametrize("name", ["../outside.wav", "/outside.wav", "a/../../outside.wav", "..\\outside.wav"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_in_an_archive_cannot_write_outside_the_target(call, tmp_path, kind, name):
    write_sound(tmp_path / "x.wav")
    packed = tmp_path / f"evil.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as file:
            file.write(tmp_path / "x.wav", "Dataset_v3_sound/siren/x.wav")
            file.writestr(name, b"evil")
    else:
        with tarfile.open(packed, "w") as file:
            file.add(tmp_path / "x.wav", "Dataset_v3_sound/siren/x.wav")
            member = file.gettarinfo(tmp_path / "x.wav")
            member.name = name
            with (tmp_path / "x.wav").open("rb") as sound:
                file.addfile(member, sound)
    before = content(tmp_path)
    code, _, error = call("prepare", "urbansound8k-av", "--source", packed, "--out", tmp_path / "out", *SMALL)
    assert (code, error.count("\n")) == (2, 1)
    assert "leads outside its folder" in error
    assert content(tmp_path).keys() - before.keys() == {"out/plan.json"}
