"""experiments.prepare from archives: whole, damaged, changed, hostile."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from iemf.data.preparation import archive
from iemf.errors import UserError
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


def bomb(path, size):
    """``size`` bytes of zeros, packed."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("a/zeros.wav", "w") as inside:
            for _ in range(size // 2**20):
                inside.write(bytes(2**20))
    else:
        member = tarfile.TarInfo("a/zeros.wav")
        member.size = size
        with tarfile.open(path, "w:gz") as file, Path("/dev/zero").open("rb") as zeros:
            file.addfile(member, zeros)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(archive, "ALWAYS", 2**20)
    bomb(tmp_path / f"x.{kind}", 2**24)
    with pytest.raises(UserError, match=r"unpacks to more than .* which media never do; do not trust this file"):
        archive.unpack(tmp_path / f"x.{kind}", tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{kind}"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_more_than_there_is_room_for_is_told_before(monkeypatch, tmp_path, kind):
    bomb(tmp_path / f"x.{kind}", 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2**19})())
    with pytest.raises(UserError, match=r"unpacks to more than the 0\.0 GB that are free"):
        archive.unpack(tmp_path / f"x.{kind}", tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{kind}"]


def test_a_tar_archives_name_has_a_bound(tmp_path):
    """tarfile would read it into memory whole: 10 GB of zeros are 10 MB packed."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2**24
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as file, Path("/dev/zero").open("rb") as zeros:
        file.addfile(member, zeros)
    with pytest.raises(UserError, match=r"x\.tar\.gz cannot be unpacked \(.*it has a name of 16777216 bytes"):
        archive.unpack(tmp_path / "x.tar.gz", tmp_path / "out", progress=False)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "/dev/sda"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_that_lead_outside_and_devices_are_refused(tmp_path, kind, target):
    member = tarfile.TarInfo("a/link")
    member.type, member.linkname = kind, target
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.addfile(member)
    with pytest.raises(UserError, match=r"x\.tar cannot be unpacked"):
        archive.unpack(tmp_path / "x.tar", tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_a_link_in_a_zip_archive_is_a_file_with_its_text(tmp_path):
    member = zipfile.ZipInfo("a/link")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(member, "/etc/passwd")
    archive.unpack(tmp_path / "x.zip", tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "a" / "link").is_symlink()
    assert (tmp_path / "out" / "a" / "link").read_text() == "/etc/passwd"
