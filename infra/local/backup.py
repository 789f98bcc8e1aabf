"""Backup and restore: databases, bucket, what MLflow was not told yet, and the secrets, in a folder that says by digests whether it is whole."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psycopg2
from pydantic import BaseModel, ConfigDict, ValidationError

from infra.local import postgres
from infra.local.credentials import Credentials
from infra.local.files import write_private
from infra.local.health import postgres_answers
from infra.local.services import base_environment
from infra.local.stack import BUCKET, Settings, Stack
from ulmfit.errors import RunFailed, UserError
from ulmfit.store import filesystem

KEPT = ("outbox", "reports")  # of the workspace; the rest is made again
PATIENCE = 60.0  # seconds for PostgreSQL to start
TOLD = 300  # letters of a reason

Say = Callable[[str], None]


class Manifest(BaseModel):
    """What a backup holds. ``files``: the SHA-256 of each, by its path in the folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    time: str
    settings: Settings
    files: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """That of the backup in ``folder``, all files of which were looked at. UserError where it is not whole."""
        try:
            manifest = cls.model_validate_json((folder / "manifest.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise UserError(f"{folder}: no backup of a stack is there (manifest.json cannot be read)") from error
        for name, digest in manifest.files.items():
            if not (folder / name).is_file() or _digest(folder / name) != digest:
                raise UserError(f"{folder / name}: missing, or not as it was written; take another backup")
        return manifest


def back_up(stack: Stack, to: Path, say: Say) -> None:
    """Write a backup to the new folder ``to``, whole or not at all. The stack may work meanwhile.

    The order makes it one: what waits for MLflow, then the databases, then the files, which are written once and before what names them.
    """
    if to.exists():
        raise UserError(f"{to}: is there already; name a new folder")
    work = to.with_name(f".{to.name}.unfinished")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    work.chmod(0o700)
    _pack(work / "workspace.tar", [stack.workspace / name for name in KEPT])
    for database in postgres.DATABASES:
        _run(stack, "pg_dump", "--format=custom", f"--file={work / database}.dump", database)
        (work / f"{database}.dump").chmod(0o600)
        say(f"{database}: {_megabytes(work / f'{database}.dump')}")
    _pack(work / "bucket.tar", [stack.buckets / BUCKET])
    say(f"bucket: {_megabytes(work / 'bucket.tar')}")
    write_private(work / "credentials.json", Credentials.read(stack).model_dump_json(indent=2))
    files = {file.name: _digest(file) for file in sorted(work.iterdir())}
    manifest = Manifest(time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), settings=stack.settings, files=files)
    write_private(work / "manifest.json", manifest.model_dump_json(indent=2))
    work.rename(to)


def restore(backup: Path, folder: Path, port: int | None, say: Say) -> Stack:
    """A stack as it was, in a folder where none is; it does not run yet. ``port``: the first one, if another than it had."""
    manifest = Manifest.read(backup)
    if (folder / "settings.json").exists():
        raise UserError(f"{folder}: a stack is there; stop it and move it away, or name another folder")
    settings = manifest.settings.model_copy(update={"port": port} if port else {})
    stack = Stack(folder.absolute(), settings)
    stack.save()
    credentials = Credentials.model_validate_json((backup / "credentials.json").read_bytes())
    credentials.write(stack)
    _unpack(backup / "workspace.tar", stack.workspace)
    _unpack(backup / "bucket.tar", stack.buckets)
    say("files are there")
    postgres.set_up(stack, credentials)
    with server_alone(stack):
        postgres.make_databases(stack, credentials)
        for database, role in postgres.DATABASES.items():
            _check_empty(stack, database)
            options = ["--no-owner", f"--role={role}", "--no-comments", "--exit-on-error", "--single-transaction"]
            _run(stack, "pg_restore", *options, f"--dbname={database}", str(backup / f"{database}.dump"))
            say(f"{database} is there")
    return stack


def _check_empty(stack: Stack, database: str) -> None:
    with postgres.connected(stack, database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        (count,) = cursor.fetchone() or (0,)
    if count:
        raise UserError(f"{database}: {count} tables are there already; drop the database first, if nobody needs them")


@contextmanager
def server_alone(stack: Stack) -> Iterator[None]:
    """PostgreSQL without the rest of the stack, unless it is elsewhere."""
    if stack.settings.postgres:
        yield
        return
    user, log = postgres.owner(), stack.logs / "postgres.log"
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    with open(log, "ab") as output:
        server = subprocess.Popen(
            postgres.server_command(stack), cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, **as_user
        )  # type: ignore[call-overload]
    try:
        _wait(stack, log)
        yield
    finally:
        server.send_signal(2)  # ends sessions, and writes what is to be written
        server.wait(PATIENCE)


def _wait(stack: Stack, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return postgres_answers(stack)
        except psycopg2.Error as error:
            if time.monotonic() > deadline:
                raise RunFailed(f"PostgreSQL does not answer ({' '.join(str(error).split())}); see {log}") from error
            time.sleep(0.2)


def _run(stack: Stack, program: str, *arguments: str) -> None:
    """A program of PostgreSQL's; it reads the password from a file."""
    user, host, port = stack.database_server
    command: list[str | Path] = [
        postgres.binaries() / program,
        f"--host={host}",
        f"--port={port}",
        f"--username={user}",
        "--no-password",
        *arguments,
    ]
    environment = base_environment() | {"PGPASSFILE": str(stack.passwords)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RunFailed(f"{program} failed ({' '.join(done.stderr.split())[-TOLD:]})")


def _pack(tar: Path, folders: Sequence[Path]) -> None:
    """Files, and folders of them, that go away while they are read were not finished, and are left out."""
    with open(os.open(tar, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out, tarfile.open(fileobj=out, mode="w|") as archive:
        for folder in folders:
            for name in filesystem.files(folder):
                with suppress(FileNotFoundError):
                    archive.add(folder / name, f"{folder.name}/{name}", recursive=False)


def _unpack(tar: Path, to: Path) -> None:
    with tarfile.open(tar) as archive:
        archive.extractall(to, filter="data")


def _digest(file: Path) -> str:
    with open(file, "rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.1f} MB"
