"""A PostgreSQL server of the stack's own, and one that is there already, whose user is no superuser."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from infra.local import postgres
from infra.local.backup import server_alone
from infra.local.credentials import Credentials
from infra.local.stack import Settings, Stack
from tests.integration.s3 import free_port
from ulmfit.errors import RunFailed, UserError


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    """A stack of which PostgreSQL alone runs."""
    try:
        postgres.binaries()
    except UserError as error:
        pytest.skip(str(error))
    folder = Path(tempfile.mkdtemp(prefix="stack-"))  # not in pytest's own folder, which other users cannot enter
    folder.chmod(0o711)
    stack = Stack(folder / "s", Settings(port=min(free_port(), 65000)))
    stack.save()
    postgres.set_up(stack, Credentials.make(stack, None))
    with server_alone(stack):
        yield stack
    shutil.rmtree(folder)


def test_databases_are_made_once(own: Stack) -> None:
    for _ in range(2):
        postgres.make_databases(own, Credentials.read(own))
    for database, role in postgres.DATABASES.items():
        with postgres.connected(own, database, role) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS mine (id int)")
    assert not list(own.folder.glob(".postgres-password"))


def test_a_server_that_is_there(own: Stack, tmp_path: Path) -> None:
    with postgres.connected(own) as connection, connection.cursor() as cursor:
        for database in postgres.DATABASES:
            cursor.execute(f"DROP DATABASE IF EXISTS {database}")
        cursor.execute("DROP ROLE IF EXISTS ulmfit_mlflow, ulmfit_prefect")
        cursor.execute("CREATE ROLE team LOGIN CREATEROLE CREATEDB PASSWORD 'of the: team'")
    theirs = Stack(tmp_path / "theirs", Settings(postgres=f"team@127.0.0.1:{own.port('postgres')}"))
    theirs.save()
    made = Credentials.make(theirs, "of the: team")
    postgres.set_up(theirs, made)
    assert not theirs.data.exists()
    for _ in range(2):
        postgres.make_databases(theirs, made)
    for database, role in postgres.DATABASES.items():
        with postgres.connected(theirs, database, role) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_user, extname FROM pg_extension WHERE extname = 'pg_trgm'")
            assert cursor.fetchall() == ([(role, "pg_trgm")] if database == postgres.PREFECT else [])


def test_a_wrong_password_for_it(own: Stack, tmp_path: Path) -> None:
    theirs = Stack(tmp_path / "theirs", Settings(postgres=f"ulmfit@127.0.0.1:{own.port('postgres')}"))
    theirs.save()
    with pytest.raises(RunFailed, match=r"databases cannot be made.*authentication failed"):
        postgres.make_databases(theirs, Credentials.make(theirs, "wrong"))
    with pytest.raises(psycopg2.OperationalError):
        postgres.connected(theirs).__enter__()
