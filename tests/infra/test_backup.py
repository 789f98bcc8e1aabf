"""Backup and restore with a real PostgreSQL and a real S3 server: saved, destroyed, restored, the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url

from infra.backup import MANIFEST, main, read, restore, save
from tests.integration.s3 import s3, s3_folder  # noqa: F401 - fixtures
from tests.integration.test_tracking import BINARIES, postgres  # noqa: F401 - fixture
from ulmfit.errors import RunFailed, UserError
from ulmfit.store import filesystem

OWNERS = {"one": "role_one", "two": "role_two"}


@pytest.fixture
def server(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: F811
    """The two databases of the test, which the variables name."""
    url = make_url(postgres)
    for name, value in {"PGHOST": url.host, "PGPORT": str(url.port), "PGUSER": url.username}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", f"{BINARIES[0]}:{os.environ['PATH']}")
    for database, owner in OWNERS.items():
        ask("postgres", f"CREATE ROLE {owner} LOGIN", f"CREATE DATABASE {database} OWNER {owner}")
        ask(database, "CREATE EXTENSION pg_trgm", f"SET ROLE {owner}", "CREATE TABLE t (n int, s text)", "INSERT INTO t VALUES (1, 'ä')")
    yield
    for database, owner in OWNERS.items():
        ask("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", f"DROP ROLE {owner}")


def ask(database: str, *statements: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(dbname=database)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_what_was_destroyed_is_as_it_was(server: None, s3: str, tmp_path: Path) -> None:  # noqa: F811
    objects = {"artifacts/corpus/ab/artifact.json": b"{}", "mlflow/1/ü x.txt": b"x" * 3_000_000, "empty": b""}
    for name, content in objects.items():
        filesystem.write_bytes(filesystem.join(s3, name), content)
    first = save(tmp_path, s3, tuple(OWNERS))
    assert first.stat().st_mode & 0o077 == 0, "it holds what databases hold"
    ask("one", "INSERT INTO t VALUES (2, 'later')")
    ask("postgres", "DROP DATABASE two")
    filesystem.remove(filesystem.join(s3, "empty"))
    filesystem.write_bytes(filesystem.join(s3, "artifacts/corpus/ab/artifact.json"), b"damaged")
    filesystem.write_bytes(filesystem.join(s3, "later"), b"x")
    restore(first, s3, OWNERS)
    for database, owner in OWNERS.items():
        assert ask(database, "SELECT n, s FROM t") == [(1, "ä")]
        assert ask(database, "SELECT tableowner FROM pg_tables WHERE tablename = 't'") == [(owner,)]
    assert {name: filesystem.read_bytes(filesystem.join(s3, name)) for name in filesystem.files(s3)} == objects


def test_the_next_one_shares_what_is_unchanged_and_old_ones_go(
    server: None,
    s3: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    filesystem.write_bytes(filesystem.join(s3, "same"), b"same")
    made = [save(tmp_path, s3, ("one",)) for _ in range(2)]
    assert (made[0] / "bucket/same").samefile(made[1] / "bucket/same")
    filesystem.write_bytes(filesystem.join(s3, "same"), b"different")
    made.append(save(tmp_path, s3, ("one",), keep=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in made[1:]]
    assert (made[1] / "bucket/same").read_bytes() == b"same" and (made[2] / "bucket/same").read_bytes() == b"different"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for backups of a folder ``bucket`` beside it, which holds ``a``."""
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a").write_bytes(b"a")
    return tmp_path / "backups"


def test_none_goes_before_there_are_more_than_are_kept(place: Path) -> None:
    for number in range(1, 5):
        made = save(place, str(place.parent / "bucket"), (), keep=5)
        assert len(list(place.iterdir())) == number and made.is_dir()


def test_a_file_that_was_damaged_in_the_backup_before_is_copied_anew(place: Path) -> None:
    first = save(place, str(place.parent / "bucket"), ())
    (first / "bucket" / "a").write_bytes(b"b")
    second = save(place, str(place.parent / "bucket"), ())
    assert (second / "bucket" / "a").read_bytes() == b"a"


def test_a_damaged_manifest_does_not_stop_the_backups_that_follow(place: Path) -> None:
    first = save(place, str(place.parent / "bucket"), ())
    (first / MANIFEST).write_text("{")
    second = save(place, str(place.parent / "bucket"), ())
    assert second != first and read(second).files


def test_a_file_that_goes_away_meanwhile_is_left_out(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {**filesystem.stamps(place.parent / "bucket"), "gone": "1-1"}
    monkeypatch.setattr(filesystem, "stamps", lambda folder: dict(listed))
    manifest = read(save(place, str(place.parent / "bucket"), ()))
    assert set(manifest.files) == {"bucket/a"} and set(manifest.stamps) == {"a"}


def test_no_database_is_dropped_of_which_the_backup_has_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = save(place, str(place.parent / "bucket"), ())
    monkeypatch.setattr("infra.backup._run", lambda *_: pytest.fail("nothing is run"))
    with pytest.raises(UserError, match=r"databases/one.dump: is missing"):
        restore(made, str(place.parent / "bucket"), OWNERS)


def test_a_damaged_backup_changes_nothing(server: None, s3: str, tmp_path: Path) -> None:  # noqa: F811
    filesystem.write_bytes(filesystem.join(s3, "a"), b"a")
    made = save(tmp_path, s3, tuple(OWNERS))
    filesystem.write_bytes(filesystem.join(s3, "b"), b"b")
    (made / "bucket/a").write_bytes(b"b")
    with pytest.raises(UserError, match="bucket/a: is missing or damaged"):
        restore(made, s3, OWNERS)
    assert set(filesystem.files(s3)) == {"a", "b"} and ask("one", "SELECT n FROM t") == [(1,)]
    (made / MANIFEST).unlink()
    for place in (made, tmp_path / "gone", made / "bucket/a"):
        with pytest.raises(UserError, match="is no backup that is whole"):
            read(place)


def test_a_save_that_is_interrupted_leaves_no_backup(server: None, s3: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(RunFailed, match=r"pg_dump: .*no-such-database"):
        save(tmp_path, s3, ("no-such-database",))
    assert not list(tmp_path.glob(f"*/{MANIFEST}"))
    with pytest.raises(UserError, match="--keep 0"):
        main(["save", str(tmp_path), "--keep", "0"])
