"""The stack of one machine, without starting it: secrets, command lines, ports, what is refused."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local import backup, health, lifecycle, supervision
from infra.local.credentials import Credentials
from infra.local.services import client_environment, services, write_files
from infra.local.stack import Settings, Stack
from tests.conftest import ROOT
from tests.integration.s3 import free_port
from ulmfit.errors import UserError


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack that was never started, on ports of which the first is free; its PostgreSQL is elsewhere."""
    made = Stack(tmp_path / "a b", Settings(port=min(free_port(), 60000), postgres="ulmfit@127.0.0.1:1"))
    made.save()
    write_files(made, Credentials.make(made, None))
    return made


def secrets(stack: Stack) -> list[str]:
    """Each secret; of one with a name before a colon, what follows."""
    return [value.rpartition(":")[2] for value in Credentials.read(stack).model_dump().values()]


def test_secrets_are_made_once_and_nobody_else_may_read_them(stack: Stack) -> None:
    made = Credentials.read(stack)
    assert Credentials.make(stack, None) == made and len(set(secrets(stack))) == 8
    private = [*stack.secrets.iterdir(), stack.environment_file, stack.folder / "settings.json"]
    assert len(private) > 6 and {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}
    assert stat.S_IMODE(stack.secrets.stat().st_mode) == 0o700


def test_no_command_line_and_no_file_of_the_supervisor_holds_a_secret(stack: Stack) -> None:
    known = services(stack, Credentials.read(stack))
    told = [" ".join(map(str, service.command)) for service in known] + [supervision.write_configuration(stack, known).read_text()]
    assert not [secret for secret in secrets(stack) if any(secret in text for text in told)]
    assert all(any(secret in value for service in known for value in service.environment.values()) for secret in secrets(stack)[2:7])


def test_a_shell_reads_the_variables(stack: Stack) -> None:
    shown = subprocess.run(["sh", "-c", f". '{stack.environment_file}'; env"], capture_output=True, text=True, check=True).stdout
    read = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert client_environment(stack, Credentials.read(stack)).items() <= read.items()


def test_a_port_in_use_is_named(stack: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.port("mlflow")))
        taken.listen()
        with pytest.raises(UserError, match=f"127.0.0.1:{stack.port('mlflow')}, the port of mlflow.*make stack PORT="):
            lifecycle.up(stack.folder, stack.settings, None, print)


@pytest.mark.parametrize("address", ["host:5432", "me@host", "me@host:port", "@host:5432"])
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match="USER@HOST:PORT"):
        _ = Stack(tmp_path, Settings(postgres=address)).database_server


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose a shorter one"):
        Stack(tmp_path / ("long" * 30), Settings()).save()


def test_a_wrong_option_is_one_line(tmp_path: Path) -> None:
    for wrong in (["up", "--nothing"], ["restore"], ["up", "--port", "80"], ["up", "--port", "many"]):
        command = [sys.executable, "-m", "infra.local", *wrong]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


def test_where_no_stack_is_there_one_line_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra.local", "status", "--folder", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "make stack" in done.stderr


def test_a_folder_that_goes_away_while_a_backup_is_made_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bucket/a/1", "bucket/gone/2", "bucket/3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    scandir = os.scandir

    def scanned(path: str | Path = ".") -> object:
        if Path(path).name == "gone":
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scanned)
    backup._pack(tmp_path / "bucket.tar", [tmp_path / "bucket", tmp_path / "none"])
    backup._unpack(tmp_path / "bucket.tar", tmp_path / "again")
    assert {name: (tmp_path / "again" / name).read_text() for name in ("bucket/a/1", "bucket/3")} == {
        "bucket/a/1": "bucket/a/1",
        "bucket/3": "bucket/3",
    }
    assert not (tmp_path / "again" / "bucket" / "gone").exists()


def test_a_full_disk_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    health.check_room(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 5 << 20))
    with pytest.raises(OSError, match=f"the disk of {tmp_path} is full: 5 MiB are free"):
        health.check_room(tmp_path)
