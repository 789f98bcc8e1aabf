"""The store of artifacts. ``Store.make`` decides whether a stage is found or run: by the key of its recipe, with every file intact.

An artifact's key is the SHA-256 of its kind, its recipe version, its settings and the keys of its inputs: never of a path
or a time. ``artifact.json`` is written last, so an artifact in the store is complete. Caching, resuming and lineage rest on this.

In a local store the whole folder is moved into the store when it is finished. S3 cannot move files: workers write them to
their final location, and ``artifact.json`` alone declares the artifact done.
"""

import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from ulmfit.errors import UserError
from ulmfit.store import filesystem, s3
from ulmfit.store.digests import Damaged, Files, StoredFile, changed, entries, fetch, in_parallel, is_intact
from ulmfit.store.json import Facts, JsonObject
from ulmfit.store.recipe import Recipe, stable
from ulmfit.store.use import Presence

log = logging.getLogger(__name__)

MANIFEST = "artifact.json"
LIBRARIES = ("ulmfit", "torch", "pyarrow", "spacy", "numpy", "scikit-learn")  # that a result depends on


@dataclass(frozen=True)
class Built:
    """What a build reports: JSON-ready facts of its result, digests that are taken already, and the id of its tracked run."""

    record: Mapping[str, Any]
    files: Files = field(default_factory=dict)
    run_id: str | None = None


class Manifest(Facts):
    """The content of ``artifact.json``: how an artifact was made, of what, and the digests of its files."""

    kind: str
    key: str
    version: int
    config: JsonObject
    inputs: dict[str, str]
    record: JsonObject
    files: dict[str, StoredFile]
    run_id: str | None
    seconds: float
    finished: str
    libraries: dict[str, str]

    @classmethod
    def of(cls, recipe: Recipe, built: Built, files: Files, seconds: float) -> Self:
        """The manifest of an artifact that has just been built."""
        return cls(
            kind=recipe.kind,
            key=recipe.key,
            version=recipe.version,
            config=stable(recipe.config),
            inputs=dict(recipe.inputs),
            record=dict(built.record),
            files=dict(files),
            run_id=built.run_id,
            seconds=round(seconds, 3),
            finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            libraries=library_versions(),
        )


@pydantic_dataclass(frozen=True, config=ConfigDict(populate_by_name=True))
class KnownPart:
    """A finished file that other artifacts may reuse: its location (stored as ``place``, in the store) and digest."""

    location: Annotated[str, Field(alias="place")]
    sha256: str

    def taken_over(self, target: str) -> bool:
        """Link or copy it to ``target``, if it is intact; its artifact may be removed at any moment."""
        if not is_intact(self.location, self.sha256):
            return False
        try:
            filesystem.link_or_copy(self.location, target)
        except FileNotFoundError:
            return False
        return True


KNOWN_PART = TypeAdapter(KnownPart)


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: the location of its files, its manifest, and the folder for a local copy."""

    location: str
    manifest: Manifest
    copy: Path

    @cached_property
    def path(self) -> Path:
        """The local folder with its files. Files on S3 that are not in ``copy`` are fetched, once.

        Raises UserError where a file on S3 is missing or its digest differs. That file and the manifest are then removed,
        so that the next run builds the file again.
        """
        if filesystem.is_remote(self.location):
            try:
                fetch(self.location, self.copy, self.manifest.files)
            except Damaged as error:
                filesystem.remove(error.location)
                filesystem.remove(filesystem.join(self.location, MANIFEST))
                raise UserError(
                    f"{error.location}: the file is missing or damaged (its digest differs); run again to rebuild it"
                ) from error
        return self.copy

    @property
    def key(self) -> str:
        """The artifact's identity."""
        return self.manifest.key

    @property
    def kind(self) -> str:
        """What sort of artifact it is: corpus, tokens, vocab, ..."""
        return self.manifest.kind

    @property
    def run_id(self) -> str | None:
        """The id of the tracked run that built it."""
        return self.manifest.run_id

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.manifest.files.values())


class Store:
    """Artifacts in a folder or on S3: ``<root>/<kind>/<key>/``.

    ``local`` is the folder for locks, for unfinished work (``.work/<key>/``) and, for a store on S3, for copies
    (``<kind>/<key>/``); a local store uses its own folder. Locks hold on one machine only: two machines that build the same
    artifact on S3 at once both do the work, and each file there is whole, from one of them.
    """

    def __init__(self, root: str | Path, local: Path | None = None):
        if filesystem.is_remote(root):
            s3.parts(str(root))  # it names a bucket
        self.root = str(root).rstrip("/") if filesystem.is_remote(root) else str(root)
        self.remote = filesystem.is_remote(root)
        if self.remote and local is None:
            raise ValueError(f"{root}: a store on S3 needs a local folder too")
        self.local = local if self.remote and local else Path(root)

    def set_up(self) -> None:
        """Make the store's folders; UserError where the folders, or the location on S3, cannot be written."""
        try:
            for name in (".work", ".locks", ".sources"):
                (self.local / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.local / ".locks"):
                pass
        except OSError as error:
            remedy = "choose another with --workspace or ULMFIT_ARTIFACTS"
            raise UserError(f"the workspace cannot be written: {self.local}: {error.strerror}; {remedy}") from error
        if self.remote:
            try:
                filesystem.write_bytes(filesystem.join(self.root, ".writable"), b"")
            except OSError as error:
                raise UserError(f"the artifacts cannot be written: {self.root}: {error.strerror}; choose another location") from error

    def find(self, kind: str, key: str) -> Artifact | None:
        """The finished artifact, its files not checked; None where there is none."""
        location = filesystem.join(self.root, kind, key)
        try:
            data = filesystem.read_bytes(filesystem.join(location, MANIFEST))
        except FileNotFoundError:
            return None
        try:
            manifest = Manifest.model_validate_json(data)
        except ValidationError:
            log.warning("%s is damaged: %s cannot be read; it will be built again", location, MANIFEST)
            return None
        return Artifact(location, manifest, self.local / kind / key)

    def get(self, key: str) -> Artifact | None:
        """The finished artifact of that key, whatever its kind."""
        return next(filter(None, (self.find(kind, key) for kind in self._kinds())), None)

    def facts(self, key: str) -> Manifest | None:
        """The manifest of the artifact of that key: of a finished one, or of one that was removed, which lists no files any more."""
        found = self.get(key)
        return found.manifest if found else self._facts_of_gone(key)

    def known(self) -> dict[str, Manifest]:
        """The manifests of all artifacts by key, of those that were removed too."""
        return {manifest.key: manifest for manifest in self.gone()} | {artifact.key: artifact.manifest for artifact in self.all()}

    def gone(self) -> Iterator[Manifest]:
        """What is known of the artifacts that were removed."""
        yield from filter(None, map(self._facts_of_gone, self.gone_keys()))

    def gone_keys(self) -> list[str]:
        """The keys of the artifacts that were removed, as far as that is known."""
        return [name.removesuffix(".json") for name in filesystem.files(filesystem.join(self.root, ".gone"))]

    def _facts_of_gone(self, key: str) -> Manifest | None:
        try:
            return Manifest.model_validate_json(filesystem.read_bytes(self._gone(key)))
        except (FileNotFoundError, ValidationError):
            return None

    def note_gone(self, manifest: Manifest) -> None:
        """Store what an artifact was made of beyond its removal, for the lineage of what was made of it."""
        filesystem.write_bytes(self._gone(manifest.key), manifest.model_copy(update={"files": {}}).model_dump_json().encode())

    def _gone(self, key: str) -> str:
        return filesystem.join(self.root, ".gone", f"{key}.json")

    def all(self) -> Iterator[Artifact]:
        """Every finished artifact."""
        for kind in self._kinds():
            for key in filesystem.folders(filesystem.join(self.root, kind)):
                if found := self.find(kind, key):
                    yield found

    def _kinds(self) -> list[str]:
        return [name for name in filesystem.folders(self.root) if not name.startswith(".")]

    def output_folder(self, recipe: Recipe) -> str:
        """Where workers write the files of an artifact: a local folder, which is moved when it is finished, or its location on S3."""
        return filesystem.join(self.root, recipe.kind, recipe.key) if self.remote else str(self.work(recipe.key))

    def find_part(self, key: str) -> KnownPart | None:
        """The part that :meth:`note_part` stored last under that key, its file not checked; None where there is none, or it is damaged."""
        try:
            part = KNOWN_PART.validate_json(filesystem.read_bytes(self._part(key)))
        except (FileNotFoundError, ValueError):
            return None
        return KnownPart(filesystem.join(self.root, part.location), part.sha256)

    def note_part(self, key: str, part: KnownPart) -> None:
        """Store where the finished part with that key lies in the store, ``KIND/KEY/FILE``, for other artifacts that have the same part."""
        filesystem.write_bytes(self._part(key), KNOWN_PART.dump_json(part, by_alias=True))

    def _part(self, key: str) -> str:
        return filesystem.join(self.root, ".parts", f"{key}.json")

    def make(self, recipe: Recipe, build: Callable[[Path], Built]) -> tuple[Artifact, bool]:
        """The artifact of ``recipe``, and whether it was found. If it was not, ``build(work)`` builds it.

        ``build`` writes into the folder ``work``, which may hold files of an interrupted run; its workers write to
        :meth:`output_folder`. A second process that wants the same artifact waits for the first. Damaged files are removed,
        and ``build`` writes those that are missing.
        """
        if found := self.used(recipe):
            return found, True
        with self.lock(recipe.key):
            if found := self.used(recipe):
                return found, True
            self._withdraw(recipe)
            work = self.work(recipe.key)
            work.mkdir(parents=True, exist_ok=True)
            filesystem.remove(work / MANIFEST)  # of a run that was killed just before its work was moved
            with filesystem.naming(self._work_inputs(recipe.key)):
                self._work_inputs(recipe.key).write_text(json.dumps(dict(recipe.inputs)))
            started = time.time()
            built = build(work)
            return self._commit(recipe, work, built, time.time() - started), False

    @cached_property
    def _presence(self) -> Presence:
        """While this object lives, others see that what it makes and finds is in use."""
        return Presence(self.local / ".locks")

    def used(self, recipe: Recipe | Artifact) -> Artifact | None:
        """:meth:`sound`, and a mark that it is in use now. The mark comes first: see ``removal.py``."""
        assert self._presence
        if self.remote:
            filesystem.write_bytes(self.use_mark(recipe.key), b"")
        else:
            with suppress(OSError):  # it is not there, or belongs to somebody else
                os.utime(filesystem.join(self.root, recipe.kind, recipe.key, MANIFEST))
        return self.sound(recipe)

    def use_mark(self, key: str) -> str:
        """On S3, the object whose time is that of the last use. A local artifact has it as the time of its manifest."""
        return filesystem.join(self.root, ".used", key)

    def sound(self, recipe: Recipe | Artifact) -> Artifact | None:
        """The finished artifact of that kind and key; None where there is none, or a file of it is missing or damaged (see :func:`damaged`)."""
        found = self.find(recipe.kind, recipe.key)
        return found if found and not damaged(found) else None

    def work(self, key: str) -> Path:
        """The local folder in which the unfinished artifact of that key is written."""
        return self.local / ".work" / key

    def work_inputs(self, key: str) -> list[str]:
        """Keys of what the unfinished artifact of that key is made of; none where that is not known."""
        try:
            inputs = json.loads(self._work_inputs(key).read_bytes())
        except (FileNotFoundError, ValueError):
            return []
        return list(inputs.values()) if isinstance(inputs, dict) else []

    def _work_inputs(self, key: str) -> Path:
        return self.work(key).with_suffix(".inputs")

    def _withdraw(self, recipe: Recipe) -> None:
        """Turn a damaged artifact back into unfinished work, without the damaged files."""
        location = filesystem.join(self.root, recipe.kind, recipe.key)
        if not filesystem.exists(location):
            return
        found = self.find(recipe.kind, recipe.key)
        bad = damaged(found) if found else [] if self.remote else os.listdir(location)  # on S3 they may be parts of unfinished work
        for name in bad:
            log.warning("%s/%s is missing or damaged (its digest differs); it will be built again", location, name)
            filesystem.remove(filesystem.join(location, name))
        filesystem.remove(filesystem.join(location, MANIFEST))
        if not self.remote:
            filesystem.remove(self.work(recipe.key))
            os.replace(location, self.work(recipe.key))

    def _commit(self, recipe: Recipe, work: Path, built: Built, seconds: float) -> Artifact:
        for stray in work.rglob("*.tmp"):
            stray.unlink()
        location = filesystem.join(self.root, recipe.kind, recipe.key)
        files = entries(work, {} if self.remote else built.files)
        for name in files:
            filesystem.fsync(work / name)
        if self.remote:
            in_parallel(lambda name: filesystem.copy(work / name, filesystem.join(location, name)), files)
            files = entries(location, {**built.files, **files}, leave=MANIFEST)
        manifest = Manifest.of(recipe, built, files, seconds)
        data = json.dumps(manifest.model_dump(), indent=1, sort_keys=True).encode()
        final = self.local / recipe.kind / recipe.key
        if self.remote:
            filesystem.write_bytes(filesystem.join(location, MANIFEST), data)
            for name in filesystem.files(work):  # the folder of copies may have older files of the same names
                (final / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(work / name, final / name)
            filesystem.remove(work)
        else:
            filesystem.write_bytes(work / MANIFEST, data)
            final.parent.mkdir(exist_ok=True)
            os.replace(work, final)
            filesystem.fsync(final.parent)
        filesystem.remove(self._work_inputs(recipe.key))
        return Artifact(location, manifest, final)

    @contextmanager
    def lock(self, key: str, wait: bool = True) -> Iterator[None]:
        """A lock that one process holds at a time; the kernel releases it when the process dies. BlockingIOError where another has it, without ``wait``."""
        with open(self.local / ".locks" / key, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                log.info("waiting for another run in this workspace that works on %s", key[:12])
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def lock_if_free(self, key: str) -> Iterator[bool]:
        """:meth:`lock` without waiting: whether the lock was free and is held now."""
        with open(self.local / ".locks" / key, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a result depends on."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def damaged(artifact: Artifact) -> list[str]:
    """Names of the artifact's files that are missing, cut short or changed; on S3 only names and sizes are compared, in one listing."""
    files = artifact.manifest.files
    if filesystem.is_remote(artifact.location):
        there = filesystem.files(artifact.location)
        return [name for name, entry in files.items() if there.get(name) != entry.bytes]
    return changed(artifact.copy, files)
