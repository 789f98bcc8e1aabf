"""The SQLite file: its tables, and how it is opened. One thread writes, each request reads with a connection of its own.

The file holds nothing that cannot be read again: where its form is another, it is emptied and filled anew. It holds no texts of documents,
so that what is to be forgotten has nothing to be removed here.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ulmfit.errors import UserError

FILE = "dashboard.db"  # in the workspace
FORM = 4  # of the tables; another number empties the file
PATIENCE = 10.0  # seconds for another dashboard on the same workspace
MOST_ASKED = 500  # values of one question

TABLES = """
create table sources (name text primary key, ok integer, read_at real, tried_at real, says text);
create table cursors (name text primary key, value text);

create table decisions (location text primary key, stamp text, id text, time real, model text, what text, version text, facts text);
create index decisions_of on decisions (model, id);
create table followed (location text primary key, stamp text, decision text, time real, done integer, facts text);
create index followed_by on followed (decision);
create table looks (location text primary key, stamp text, decision text, times integer, last real);
create table damaged (location text primary key, stamp text);

create table models (name text primary key, created real, champion text, aliases text);
create table versions (model text, version integer, created real, run_id text, key text, evaluation text, status text, tags text,
  primary key (model, version));
create table runs (id text primary key, experiment text, name text, status text, started real, ended real, parent text, flow text, kind text,
  corpus text, artifact text, metrics text, parameters text, tags text);
create index runs_by_time on runs (started desc, id);
create index runs_of_parent on runs (parent);
create index runs_by_status on runs (status);
create table experiments (id text primary key, name text);

create table flow_runs (id text primary key, name text, deployment text, state text, says text, started real, ended real, expected real);

create table landed (location text primary key, folder text, id text, time real, kind text, facts text);
create index landed_in on landed (folder, id);
create table landed_files (location text, folder text, arrival text, time real, number integer, name text, source text, content text,
  rows integer, documents integer, labels integer, quarantined integer, primary key (location, number));
create index files_landed_in on landed_files (folder, arrival, number);
create index files_of_content on landed_files (content);

create table artifacts (key text primary key, kind text, finished real, seconds real, bytes integer, run_id text, config text, inputs text,
  record text, gone integer);
create table inputs (artifact text, role text, input text, primary key (artifact, role));
create index inputs_of on inputs (input);
create table evaluations (key text primary key, facts text);
create table reports (name text primary key, stamp text, kind text, title text, model text, version text, run_id text, written real,
  report integer, card integer);
create index reports_of on reports (model, version);
create table studies (name text primary key, stamp text, facts text);
"""


@dataclass(frozen=True)
class Database:
    """The file of the read model."""

    file: Path

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file to its end. Rows can be asked by the names of their columns."""
        with closing(sqlite3.connect(f"file:{quote(str(self.file))}?mode=ro", timeout=PATIENCE, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("begin")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are seen all together at its end, or not at all."""
        with closing(sqlite3.connect(self.file, timeout=PATIENCE, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute("begin immediate")
            with connection:
                yield connection

    def set_up(self) -> None:
        """Make the tables, anew where they have another form. UserError where the file cannot be written."""
        try:
            with self.writing() as writing:
                if writing.execute("pragma user_version").fetchone()[0] != FORM:
                    _empty(writing)
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"{self.file}: the dashboard cannot write its file ({error}); choose another folder with --workspace"
            ) from error


def _empty(writing: sqlite3.Connection) -> None:
    found = writing.execute("select name from sqlite_schema where type = 'table' and name not like 'sqlite%'").fetchall()
    for row in found:
        writing.execute(f'drop table "{row["name"]}"')
    for statement in TABLES.split(";"):
        writing.execute(statement)
    writing.execute(f"pragma user_version = {FORM}")
