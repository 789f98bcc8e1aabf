"""PostgreSQL: a server of the stack's own, from Debian's package, or one that is there already; roles and databases in it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from psycopg2 import sql

from infra.local.credentials import Credentials
from infra.local.files import write_private
from infra.local.stack import Stack
from ulmfit.errors import RunFailed, UserError

MLFLOW, AUTH, PREFECT = "ulmfit_mlflow", "ulmfit_mlflow_auth", "ulmfit_prefect"
DATABASES = {MLFLOW: MLFLOW, AUTH: MLFLOW, PREFECT: PREFECT}  # and the role that owns each
PATIENCE = 10  # seconds for a connection


def binaries() -> Path:
    """The folder of the server's programs, of the latest version here. UserError where there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found and (on_path := shutil.which("postgres")):
        found = [Path(on_path).parent]
    if not found:
        raise UserError(
            "no PostgreSQL server is installed; install it (Debian: apt-get install postgresql), or name one that is there with --postgres USER@HOST:PORT"
        )
    return max(found, key=lambda path: float(path.parent.name) if path.parent.name.replace(".", "").isdecimal() else 0.0)


def owner() -> str | None:
    """The user as whom the server runs where this is root, which it refuses; else None."""
    if os.getuid():
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError as error:
        raise UserError("PostgreSQL does not run as root, and there is no user postgres; start the stack as another user") from error


def set_up(stack: Stack, credentials: Credentials) -> None:
    """The folder of a new server."""
    if stack.settings.postgres or (stack.data / "PG_VERSION").exists():
        return
    user, password = owner(), stack.folder / ".postgres-password"
    shutil.rmtree(stack.data, ignore_errors=True)  # what a first start that was interrupted has left
    stack.data.mkdir(mode=0o700)
    write_private(password, credentials.postgres)
    if user:
        for path in (stack.data, password):
            shutil.chown(path, user, user)
    options = ["--username=ulmfit", "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8"]
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    try:
        made = subprocess.run(
            [binaries() / "initdb", f"--pgdata={stack.data}", *options], cwd="/", capture_output=True, text=True, **as_user
        )  # type: ignore[call-overload]
    finally:
        password.unlink()
    if made.returncode:
        reason = " ".join(made.stderr.split())[-300:]
        raise UserError(
            f"{stack.data}: PostgreSQL cannot be set up there ({reason}); the user {user or 'postgres'} must be able to enter the folder"
        )


def server_command(stack: Stack) -> tuple[str, ...]:
    """The server: on one address, with passwords for all, and no statement with a password in its log."""
    options = {
        "listen_addresses": stack.host,
        "port": str(stack.port("postgres")),
        "unix_socket_directories": "",
        "log_min_error_statement": "panic",
    }
    return (str(binaries() / "postgres"), "-D", str(stack.data), *(f"--{name}={value}" for name, value in options.items()))


@contextmanager
def connected(stack: Stack, database: str = "postgres", user: str | None = None) -> Iterator[psycopg2.extensions.connection]:
    """A connection in which each statement counts by itself."""
    admin, host, port = stack.database_server
    where = {"host": host, "port": port, "dbname": database, "user": user or admin, "passfile": str(stack.passwords)}
    with closing(psycopg2.connect(**where, connect_timeout=PATIENCE)) as connection:
        connection.autocommit = True
        yield connection


def make_databases(stack: Stack, credentials: Credentials) -> None:
    """Roles with their passwords, and their databases; those that are there stay."""
    try:
        with connected(stack) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_roles")
            roles = {name for (name,) in cursor.fetchall()}
            for role in sorted(set(DATABASES.values())):
                verb = "ALTER" if role in roles else "CREATE"
                cursor.execute(sql.SQL(verb + " ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(role)), [credentials.databases])
            cursor.execute("SELECT datname FROM pg_database")
            there = {name for (name,) in cursor.fetchall()}
            for database, role in DATABASES.items():
                if database not in there:
                    cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
                    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(role)))
        with connected(stack, PREFECT) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")  # Prefect searches names with it
    except psycopg2.Error as error:
        user, host, port = stack.database_server
        raise RunFailed(f"PostgreSQL at {user}@{host}:{port}: databases cannot be made ({' '.join(str(error).split())})") from error
