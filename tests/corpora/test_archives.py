"""Members of zip and tar archives, sound and hostile."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from ulmfit.corpora.reading.archives import limited, members, named
from ulmfit.errors import UserError

FILES = {"box/train.csv": b"1,one\n" * 1000, "box/test.csv": b"2,two\n", "box/readme.txt": b"read me"}


def pack(path, files):
    """A zip or tar of {name: bytes, TarInfo or ZipInfo}, by the suffix of ``path``."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name if isinstance(data, bytes) else data, data if isinstance(data, bytes) else b"target")
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
            for name, data in files.items():
                info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
                info.size = len(data) if isinstance(data, bytes) else 0
                archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def everything(path, **limit):
    return {name: stream.read() for name, stream in members(path, lambda name: True, **limit)}


@pytest.fixture(params=["a.zip", "a.tgz", "a.tar"])
def place(request, tmp_path):
    return tmp_path / request.param


def test_members_are_read_by_exact_name(place):
    pack(place, FILES)
    found = {name: stream.read() for name, stream in named(place, ["box/test.csv", "box/train.csv"])}
    assert found == {name: FILES[name] for name in ("box/train.csv", "box/test.csv")}


def test_members_are_read_by_choice_and_as_text(place):
    pack(place, FILES)
    found = {name: list(io.TextIOWrapper(stream, "utf-8")) for name, stream in members(place, lambda name: name.endswith(".csv"))}
    assert len(found["box/train.csv"]) == 1000 and set(found) == {"box/train.csv", "box/test.csv"}


def test_nothing_is_written(place):
    everything(pack(place, FILES))
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_missing_member(place):
    with pytest.raises(UserError, match=r"holds no box/other\.csv"):
        list(named(pack(place, FILES), ["box/other.csv", "box/test.csv"]))


@pytest.mark.parametrize("name", ["../evil.csv", "/etc/evil.csv", "box/../../evil.csv", "..\\evil.csv", "C:/evil.csv"])
def test_names_that_point_outside_are_refused(place, name):
    pack(place, {"box/a.csv": b"a", name: b"evil", "box/test.csv": b"b"})
    with pytest.raises(UserError, match="points outside"):
        list(named(place, ["box/test.csv"]))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("box/test.csv")
    info.type, info.linkname = kind, "box/train.csv"
    path = pack(tmp_path / "a.tgz", {"box/train.csv": b"x", "box/test.csv": info})
    with pytest.raises(UserError, match=r"'box/test\.csv' is a link or a device"):
        list(named(path, ["box/test.csv"]))


def test_links_in_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("box/test.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="is a link or a device"):
        everything(pack(tmp_path / "a.zip", {"": info}))


def test_a_member_that_is_declared_too_large(place):
    pack(place, FILES)
    assert everything(place, limit=6000) == FILES
    with pytest.raises(UserError, match=r"train\.csv: the member unpacks to more than 5999 bytes"):
        everything(place, limit=5999)


def test_a_stream_that_is_too_large_whatever_it_declares():
    bomb = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(bytes(1_000_000))))
    stream = limited(bomb, "bomb.gz", 500_000)
    assert stream.read(100_000) == bytes(100_000)
    with pytest.raises(UserError, match=r"bomb\.gz: the member unpacks to more than 500000 bytes"):
        stream.read()


def test_a_zip_that_lies_about_a_size(tmp_path):
    path = pack(tmp_path / "a.zip", {"box/a.csv": bytes(100_000)})
    path.write_bytes(path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(UserError, match="damaged"):
        everything(path, limit=1000)


def test_an_archive_that_is_cut_short(place):
    pack(place, {"box/a.csv": bytes(range(256)) * 400})
    place.write_bytes(place.read_bytes()[: place.stat().st_size // 2])
    with pytest.raises(UserError, match=r"damaged|cut short") as error:
        everything(place)
    assert "\n" not in str(error.value)


def test_a_flipped_byte_in_a_zip(tmp_path):
    path = pack(tmp_path / "a.zip", {"box/a.csv": b"".join(b"%d," % (i * i) for i in range(20_000))})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        everything(path)


def test_what_is_no_archive(tmp_path):
    (tmp_path / "page.tgz").write_text("<html>log in first</html>" * 100)
    with pytest.raises(UserError, match=r"page\.tgz: the archive is damaged"):
        everything(tmp_path / "page.tgz")
