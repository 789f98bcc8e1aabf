"""Backups of databases and bucket: ``python -m infra.backup save FOLDER [--keep N]`` and ``python -m infra.backup restore FOLDER/NAME``.

For services that share no folder, in containers or on other machines: PostgreSQL is that of PGHOST, PGPORT, PGUSER and PGPASSWORD or PGPASSFILE, whose
user may make databases; the bucket that of the AWS variables. Databases are saved before the bucket, so that what they name is in it:
nothing leaves the bucket but by ``ulmfit gc`` and ``forget``, which should not run meanwhile. A backup gets its name once it is whole; a
file that the one before has is a link to that.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.local.postgres import DATABASES
from infra.local.stack import BUCKET as NAME
from ulmfit.errors import RunFailed, UserError
from ulmfit.store import filesystem

BUCKET = f"s3://{NAME}"
MANIFEST, UNFINISHED = "backup.json", ".unfinished"
NAMES = "%Y%m%dT%H%M%S.%fZ"  # of backups, so that they sort by time


class Manifest(BaseModel):
    """What a backup holds. ``files``: SHA-256 by name. ``stamps``: of the bucket's files, by which the next backup knows what changed."""

    model_config = ConfigDict(extra="forbid")

    files: dict[str, str]
    stamps: dict[str, str]


def save(folder: Path, bucket: str = BUCKET, databases: Sequence[str] = tuple(DATABASES), keep: int | None = None) -> Path:
    """A new backup in ``folder``; of all there, the last ``keep`` stay."""
    before = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    target = folder / datetime.now(UTC).strftime(NAMES)
    work = folder / f"{target.name}{UNFINISHED}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)
    (work / "databases").mkdir()
    for name in databases:
        _run(["pg_dump", "--format=custom", f"--file={work / 'databases' / name}.dump", name])
    stamps = _copy_bucket(bucket, work / "bucket", next(filter(_is_whole, reversed(before)), None))
    files = {str(file.relative_to(work)): filesystem.sha256(file) for file in sorted(work.rglob("*")) if file.is_file()}
    filesystem.write_bytes(work / MANIFEST, Manifest(files=files, stamps=stamps).model_dump_json(indent=1).encode())
    os.rename(work, target)
    for old in before[: max(0, len(before) + 1 - keep)] if keep else []:
        shutil.rmtree(old)
    return target


def _copy_bucket(bucket: str, target: Path, before: Path | None) -> dict[str, str]:
    """Copy all files; their stamps. One that goes away meanwhile was a job's own for a while, and is left out."""
    known = read(before) if before else Manifest(files={}, stamps={})
    stamps = filesystem.stamps(bucket)
    for name, stamp in list(stamps.items()):
        file = target / name
        if not file.resolve().is_relative_to(target.resolve()):
            raise UserError(f"{bucket}/{name}: a name that leads out of the backup; remove it from the bucket")
        file.parent.mkdir(parents=True, exist_ok=True)
        earlier = before / "bucket" / name if before and known.stamps.get(name) == stamp else None
        if earlier and _is_intact(earlier, known.files.get(f"bucket/{name}")):
            filesystem.link_or_copy(earlier, file)
            continue
        try:
            filesystem.copy(filesystem.join(bucket, name), file)
        except FileNotFoundError:
            del stamps[name]
    return stamps


def _is_whole(backup: Path) -> bool:
    """Whether its manifest can be read; of one that cannot, nothing is taken over."""
    try:
        return bool(read(backup))
    except UserError:
        return False


def _is_intact(file: Path, digest: str | None) -> bool:
    """Whether a file of an earlier backup is what it was: else the damage would be in all that come."""
    return file.is_file() and filesystem.sha256(file) == digest


def read(backup: Path) -> Manifest:
    """The manifest of a backup. UserError where there is none."""
    try:
        return Manifest.model_validate_json((backup / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError) as error:
        raise UserError(f"{backup}: is no backup that is whole: its {MANIFEST} is missing or damaged; name another") from error


def restore(backup: Path, bucket: str = BUCKET, owners: Mapping[str, str] = DATABASES) -> None:
    """Make databases and bucket what they were. What is in the databases is lost, and so are files of the bucket that the backup lacks.

    Services that use them are to be stopped. UserError, before anything is changed, where a file of the backup is missing or damaged.
    """
    manifest = read(backup)
    lacking = {f"databases/{database}.dump": "" for database in owners}
    for name, digest in (lacking | manifest.files).items():
        file = backup / name
        if not file.is_file() or filesystem.sha256(file) != digest:
            raise UserError(f"{file}: is missing or damaged (its digest differs); nothing was restored; name another backup")
    for database, owner in owners.items():
        _run(["psql", "--quiet", "--dbname=postgres", "--set=ON_ERROR_STOP=1"], _ANEW.format(database=database, owner=owner))
        _run(["pg_restore", "--exit-on-error", f"--dbname={database}", str(backup / "databases" / f"{database}.dump")])
    there = filesystem.files(bucket)
    wanted = {name.removeprefix("bucket/") for name in manifest.files if name.startswith("bucket/")}
    for name in there.keys() - wanted:
        filesystem.remove(filesystem.join(bucket, name))
    for name in sorted(wanted):
        filesystem.copy(backup / "bucket" / name, filesystem.join(bucket, name))


_ANEW = """
DROP DATABASE IF EXISTS {database} WITH (FORCE);
CREATE DATABASE {database} OWNER {owner};
"""


def _run(command: Sequence[str], text: str | None = None) -> None:
    """RunFailed where the program fails or is not there."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise RunFailed(f"{command[0]}: is not installed; it comes with PostgreSQL's client programs") from error
    if done.returncode:
        raise RunFailed(f"{command[0]}: {' '.join(done.stderr.split())[-300:]}")


def main(arguments: Sequence[str]) -> str:
    """Carry out a command line; what to say."""
    parser = argparse.ArgumentParser(prog="python -m infra.backup")
    commands = parser.add_subparsers(dest="command", required=True)
    saving = commands.add_parser("save", help="a new backup in a folder")
    saving.add_argument("folder", type=Path)
    saving.add_argument("--keep", type=int, help="of all backups there, the last so many stay")
    commands.add_parser("restore", help="databases and bucket as they were").add_argument("backup", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "restore":
        restore(given.backup)
        return f"{given.backup}: restored; start the services"
    if given.keep is not None and given.keep < 1:
        raise UserError(f"--keep {given.keep}: give 1 or more")
    made = save(given.folder, keep=given.keep)
    return json.dumps({"backup": str(made), "files": len(read(made).files)})


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except (UserError, RunFailed) as fault:
        sys.exit(f"infra.backup: {fault}")
