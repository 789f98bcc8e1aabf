"""The content-addressed store: identity, atomic completion, verification.

An artifact's key is the SHA-256 of its kind, its recipe version, its settings and the keys of its inputs: never
of a path or a time. ``artifact.json`` is written last and the folder is moved in place whole, so that an artifact
found in the store is complete. One mechanism serves caching, resume and lineage.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ulmfit.errors import UserError

log = logging.getLogger(__name__)

MANIFEST = "artifact.json"
LIBRARIES = ("ulmfit", "torch", "pyarrow", "spacy", "numpy", "scikit-learn")


def canonical_json(value: Any) -> bytes:
    """The one byte form of ``value``; TypeError for what has no stable form (objects, sets, NaN)."""
    return json.dumps(_stable(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _stable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _stable(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError(f"no stable form: the names of {value!r} are not all strings")
        return {name: _stable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_stable(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise TypeError(f"no stable form: {value!r} of type {type(value).__name__}")


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and move it in place, so that a reader sees all of it or nothing."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@dataclass(frozen=True)
class Recipe:
    """What an artifact is made of; its ``key`` is the artifact's identity.

    ``version`` is the recipe version, an integer in the stage's module, raised when the stage's result changes.
    ``inputs`` maps a role to the key of the artifact that plays it.
    """

    kind: str
    version: int
    config: Mapping[str, Any] | BaseModel
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        body = {"kind": self.kind, "version": self.version, "config": self.config, "inputs": dict(self.inputs)}
        return hashlib.sha256(canonical_json(body)).hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: its folder and what ``artifact.json`` says of it."""

    path: Path
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        return self.manifest["key"]

    @property
    def kind(self) -> str:
        return self.manifest["kind"]

    @property
    def record(self) -> dict[str, Any]:
        """What the stage said of its result: counts, metrics, seconds."""
        return self.manifest["record"]

    @property
    def run_id(self) -> str | None:
        """The tracked run that made it."""
        return self.manifest["run_id"]

    @property
    def bytes(self) -> int:
        return sum(entry["bytes"] for entry in self.manifest["files"].values())


class Store:
    """Artifacts in a local folder: ``<root>/<kind>/<key>/``, with unfinished work in ``<root>/.work/<key>/``."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def set_up(self) -> None:
        """Make the store's folders; UserError where they cannot be written."""
        try:
            for name in (".work", ".locks", ".sources"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root / ".locks"):
                pass
        except OSError as error:
            raise UserError(f"the workspace cannot be written: {self.root}: {error.strerror}; choose another with --workspace") from error

    def find(self, kind: str, key: str) -> Artifact | None:
        """The finished artifact as it lies there, its files not read; None where there is none."""
        path = self.root / kind / key
        try:
            return Artifact(path, json.loads((path / MANIFEST).read_text()))
        except FileNotFoundError:
            return None
        except ValueError:
            log.warning("%s is damaged: %s cannot be read; it will be made again", path, MANIFEST)
            return None

    def get(self, key: str) -> Artifact | None:
        """The finished artifact of that key, whatever its kind."""
        for path in self.root.glob(f"*/{key}/{MANIFEST}"):
            return self.find(path.parent.parent.name, key)
        return None

    def all(self) -> Iterator[Artifact]:
        """Every finished artifact."""
        for path in sorted(self.root.glob(f"[!.]*/*/{MANIFEST}")):
            found = self.find(path.parent.parent.name, path.parent.name)
            if found:
                yield found

    def make(self, recipe: Recipe, build: Callable[[Path], dict[str, Any]]) -> tuple[Artifact, bool]:
        """The artifact of ``recipe`` and whether it was found; otherwise ``build(workdir)`` makes it.

        ``build`` writes into the folder it is given, which may hold what an interrupted run left there, and returns
        the record; a ``run_id`` in it names the tracked run. A second process that wants the same artifact waits for the first. A file that is missing or
        whose digest differs is taken away and ``build`` called for the rest.
        """
        found = self.sound(recipe)
        if found:
            return found, True
        with self.lock(recipe.key):
            found = self.sound(recipe)
            if found:
                return found, True
            self._withdraw(recipe)
            work = self.work(recipe.key)
            work.mkdir(parents=True, exist_ok=True)
            _remove(work / MANIFEST)  # of a run that was killed just before its work was moved
            started = time.time()
            record = build(work)
            return self._commit(recipe, work, record, time.time() - started), False

    def sound(self, recipe: Recipe) -> Artifact | None:
        """The finished artifact of ``recipe`` with every file's digest checked; None where anything is amiss."""
        found = self.find(recipe.kind, recipe.key)
        return found if found and not damaged(found) else None

    def work(self, key: str) -> Path:
        """Where the unfinished artifact of that key is written."""
        return self.root / ".work" / key

    def _withdraw(self, recipe: Recipe) -> None:
        """Turn a damaged artifact back into unfinished work, less the damaged files."""
        path = self.root / recipe.kind / recipe.key
        if not path.exists():
            return
        found = self.find(recipe.kind, recipe.key)
        bad = damaged(found) if found else [item.name for item in path.iterdir()]
        for name in bad:
            log.warning("%s/%s is missing or damaged (its digest differs); it will be made again", path, name)
            _remove(path / name)
        _remove(path / MANIFEST)
        _remove(self.work(recipe.key))
        os.replace(path, self.work(recipe.key))

    def _commit(self, recipe: Recipe, work: Path, record: dict[str, Any], seconds: float) -> Artifact:
        for stray in work.rglob("*.tmp"):
            stray.unlink()
        files = {}
        for path in sorted(item for item in work.rglob("*") if item.is_file()):
            _fsync(path)
            files[path.relative_to(work).as_posix()] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        manifest = {
            "kind": recipe.kind,
            "key": recipe.key,
            "version": recipe.version,
            "config": _stable(recipe.config),
            "inputs": dict(recipe.inputs),
            "record": {name: value for name, value in record.items() if name != "run_id"},
            "files": files,
            "run_id": record.get("run_id"),
            "seconds": round(seconds, 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "libraries": library_versions(),
        }
        write_atomic(work / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        final = self.root / recipe.kind / recipe.key
        final.parent.mkdir(exist_ok=True)
        os.replace(work, final)
        _fsync(final.parent)
        return Artifact(final, manifest)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Held by one process at a time; the kernel gives it back when a process dies."""
        with open(self.root / ".locks" / key, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("waiting for another run in this workspace, which is at work on %s", key[:12])
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def damaged(artifact: Artifact) -> list[str]:
    """Names of the artifact's files that are missing, cut short or changed."""
    return [name for name, entry in artifact.manifest["files"].items() if not _intact(artifact.path / name, entry)]


def _intact(path: Path, entry: dict[str, Any]) -> bool:
    try:
        return path.stat().st_size == entry["bytes"] and sha256_file(path) == entry["sha256"]
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a result depends on."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
