"""Downloads against a server of the test's own, and wheels against a folder of wheels."""

import errno
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from ulmfit.store import download as module
from ulmfit.store.download import Patience, Unreachable, download, download_wheel

DATA = random.Random(1).randbytes(700_000)
QUICK = Patience(backoff=0.001)


def digest(data, method="sha256"):
    return f"{method}:{hashlib.new(method, data).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        wanted = self.headers.get("Range")
        site.requests.append(wanted)
        if self.path != "/file.bin":
            return self.send_error(404)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and site.ranges else 0
        if start >= len(site.data):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.data) - 1}/{len(site.data)}")
        self.send_header("Content-Length", str(len(site.data) - start))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        body = site.data[start:]
        self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    """``cuts``: bytes after which the next connections are cut."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.site = SimpleNamespace(
        data=DATA, etag='"one"', ranges=True, cuts=[], requests=[], url=f"http://127.0.0.1:{server.server_port}/file.bin"
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.site
    server.shutdown()
    thread.join()
    server.server_close()


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("method", ["sha256", "md5"])
def test_a_file_is_fetched_once(site, tmp_path, method):
    target = tmp_path / "deep" / "file.bin"
    for _ in range(2):
        assert download(site.url, target, digest(DATA, method)).read_bytes() == DATA
    assert site.requests == [None]
    assert left_over(target.parent) == ["file.bin"]


def test_a_cut_connection_is_resumed(site, tmp_path):
    site.cuts = [300_000, 200_000]
    assert download(site.url, tmp_path / "file.bin", digest(DATA), QUICK).read_bytes() == DATA
    assert site.requests == [None, "bytes=300000-", "bytes=500000-"]


def test_without_ranges_a_cut_download_starts_again(site, tmp_path):
    site.ranges, site.cuts = False, [300_000]
    assert download(site.url, tmp_path / "file.bin", digest(DATA), QUICK).read_bytes() == DATA
    assert site.requests == [None, "bytes=300000-"]


def interrupted(site, tmp_path):
    """Leave a part of 300,000 bytes behind."""
    site.cuts = [300_000]
    with pytest.raises(Unreachable, match="lost 1 times in a row after 300000 bytes"):
        download(site.url, tmp_path / "file.bin", digest(DATA), Patience(attempts=1))
    assert not (tmp_path / "file.bin").exists()
    site.requests.clear()


def test_a_later_call_resumes(site, tmp_path, monkeypatch):
    interrupted(site, tmp_path)
    assert download(site.url, tmp_path / "file.bin", digest(DATA)).read_bytes() == DATA
    assert site.requests == ["bytes=300000-"]


@pytest.mark.parametrize("etag", ['"two"', None])
def test_a_part_of_an_older_file_is_dropped(site, tmp_path, monkeypatch, etag):
    interrupted(site, tmp_path)
    site.data, site.etag = DATA[::-1], etag
    assert download(site.url, tmp_path / "file.bin", digest(DATA[::-1])).read_bytes() == DATA[::-1]
    assert site.requests == ["bytes=300000-", None]


def test_a_part_longer_than_the_file_now_is_dropped(site, tmp_path, monkeypatch):
    interrupted(site, tmp_path)
    site.data = DATA[:1000]
    assert download(site.url, tmp_path / "file.bin", digest(DATA[:1000])).read_bytes() == DATA[:1000]
    assert site.requests == ["bytes=300000-", None]


def test_a_part_of_unknown_origin_is_not_resumed(site, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    assert download(site.url, tmp_path / "file.bin", digest(DATA)).read_bytes() == DATA
    assert site.requests == [None]


def test_a_complete_part_needs_no_request(site, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(DATA)
    (tmp_path / "file.bin.part.json").write_text(json.dumps({"etag": '"one"', "modified": None, "size": len(DATA)}))
    download(site.url, tmp_path / "file.bin", digest(DATA))
    assert site.requests == [] and left_over(tmp_path) == ["file.bin"]


def test_a_resumed_file_with_a_wrong_digest_is_fetched_from_its_start(site, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "file.bin.part.json").write_text(json.dumps({"etag": '"one"', "modified": None, "size": len(DATA)}))
    assert download(site.url, tmp_path / "file.bin", digest(DATA)).read_bytes() == DATA
    assert site.requests == ["bytes=1000-", None]


def test_a_wrong_digest_leaves_nothing(site, tmp_path):
    with pytest.raises(Unreachable) as error:
        download(site.url, tmp_path / "file.bin", digest(b"other"))
    assert digest(DATA) in str(error.value) and digest(b"other") in str(error.value) and "\n" not in str(error.value)
    assert left_over(tmp_path) == []


def test_a_damaged_file_is_fetched_again(site, tmp_path, caplog):
    target = tmp_path / "file.bin"
    target.write_bytes(DATA[:-1] + b"?")
    assert download(site.url, target, digest(DATA)).read_bytes() == DATA
    assert "is damaged" in caplog.text


def test_a_server_that_never_gets_further_is_given_up(site, tmp_path):
    site.cuts = [1000] + [0] * 20
    with pytest.raises(Unreachable, match=f"lost {QUICK.attempts} times in a row after 1000 bytes"):
        download(site.url, tmp_path / "file.bin", digest(DATA), QUICK)
    assert len(site.requests) == QUICK.attempts


def test_not_found_is_not_tried_again(site, tmp_path):
    with pytest.raises(Unreachable, match="HTTP 404"):
        download(site.url + ".missing", tmp_path / "file.bin", digest(DATA))
    assert len(site.requests) == 1


@pytest.fixture
def no_waiting(monkeypatch):
    def refuse(seconds):
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr(module.time, "sleep", refuse)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nothing_listening_fails_at_once(no_waiting, tmp_path):
    with pytest.raises(Unreachable, match="Connection refused"):
        download(f"http://127.0.0.1:{closed_port()}/file.bin", tmp_path / "file.bin", digest(DATA))


def test_an_unknown_host_fails_at_once(no_waiting, tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"host\.invalid/file\.bin: Name or service not known"):
        download("https://host.invalid/file.bin", tmp_path / "file.bin", digest(DATA))


def test_a_server_that_does_not_answer_is_given_up(no_waiting, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="timed out"):
            download(f"http://127.0.0.1:{deaf.getsockname()[1]}/file.bin", tmp_path / "file.bin", digest(DATA), Patience(read_timeout=0.2))
    assert time.monotonic() - started < 3


def test_the_connection_itself_has_its_own_limit(no_waiting, tmp_path, monkeypatch):
    asked = []

    def connect(address, timeout, source_address):
        asked.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Unreachable):
        download("http://127.0.0.1/file.bin", tmp_path / "file.bin", digest(DATA))
    assert asked == [5.0]


def test_a_full_disk_is_told_as_such(site, no_waiting, tmp_path, monkeypatch):
    class Full:
        def __init__(self, path):
            self.file = open(path, "ab")  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(path, mode):
        return Full(path) if mode == "ab" else open(path, mode)

    monkeypatch.setattr(module, "open", opened, raising=False)
    with pytest.raises(OSError) as error:
        download(site.url, tmp_path / "file.bin", digest(DATA))
    assert error.value.errno == errno.ENOSPC and len(site.requests) == 1


# --- wheels


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the package index, with one wheel; its path."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "tiny_text-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/text.csv", "text\nhello\n")
        archive.writestr("tiny_text-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-text\nVersion: 1.0\nRequires-Python: <3\n")
        archive.writestr("tiny_text-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny_text-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return wheel


def test_a_wheel_is_fetched_once(index, tmp_path, monkeypatch):
    target = tmp_path / "cache" / "tiny.whl"
    sha256 = hashlib.sha256(index.read_bytes()).hexdigest()
    assert download_wheel("tiny-text", "1.0", sha256, target).read_bytes() == index.read_bytes()
    assert left_over(target.parent) == ["tiny.whl"]
    monkeypatch.setattr(subprocess, "run", None)
    assert download_wheel("tiny-text", "1.0", sha256, target) == target


def test_a_wheel_of_another_digest_is_refused(index, tmp_path, monkeypatch):
    def pip(command, **_):
        shutil.copy(index, command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(Unreachable, match=r"tiny-text==1\.0: its sha256 is not"):
        download_wheel("tiny-text", "1.0", "0" * 64, tmp_path / "cache" / "tiny.whl")
    assert left_over(tmp_path / "cache") == []


def test_a_wheel_the_index_lacks(index, tmp_path):
    with pytest.raises(Unreachable, match=r"pip download tiny-text==2\.0: No matching distribution") as error:
        download_wheel("tiny-text", "2.0", "0" * 64, tmp_path / "tiny.whl")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", OSError, "No space left"),
        ("/usr/bin/python: No module named pip\n", Unreachable, "No module named pip"),
        ("", Unreachable, "failed without a word"),
    ],
)
def test_what_pip_says_is_passed_on(tmp_path, monkeypatch, said, kind, match):
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    with pytest.raises(kind, match=match) as error:
        download_wheel("tiny-text", "1.0", "0" * 64, tmp_path / "tiny.whl")
    assert not isinstance(error.value, OSError) or error.value.errno == errno.ENOSPC
