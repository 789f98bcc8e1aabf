"""What in a store nobody needs any more: found here, removed in ``removal.py``.

Needed is what the caller says, what was used lately, what unfinished work that was touched lately is made of, and all that these
need in turn. Records of decisions, of what landed, and of what removed artifacts were made of are not looked at.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from ulmfit.store import filesystem
from ulmfit.store.artifacts import MANIFEST, Manifest, Store
from ulmfit.store.usage import Usage, usage
from ulmfit.store.use import working_since

What = Literal["artifact", "unfinished work", "interrupted reading", "fetched copy", "note of a source"]
Needed = Callable[[Iterable[str], Mapping[str, Manifest]], set[str]]  # the keys that come with these, by all manifests that are known
MARGIN = 600.0  # seconds by which clocks of machines that share a store may differ


@dataclass(frozen=True)
class Garbage:
    """What nobody needs: ``name`` for people, ``key`` of its artifact or lock. ``used``: when it was used or changed last (Unix seconds)."""

    what: What
    name: str
    key: str
    location: str
    bytes: int
    used: float


@dataclass(frozen=True)
class Found:
    """The garbage of a store, the latest first, so that what was made of another thing comes before it; and the keys of what is kept."""

    garbage: tuple[Garbage, ...]
    kept: frozenset[str]


def find_garbage(store: Store, live: Iterable[str], needed: Needed, keep: float) -> Found:
    """What neither the artifacts ``live`` (keys) need, nor a process that works now, nor anybody used in the last ``keep`` seconds."""
    begun = working_since(store.local / ".locks")
    since = min(time.time() - keep, begun - MARGIN if begun else math.inf)
    artifacts = list(_artifacts(store))
    known = {manifest.key: manifest for manifest in store.gone()} | {item.key: manifest for item, manifest in artifacts}
    finished = {item.location for item, _ in artifacts}
    late = [item.key for item, _ in artifacts if item.used >= since]
    work = list(_work(store))
    resumed = [key for item in work if item.used >= since for key in store.work_inputs(item.key)]
    kept = frozenset(needed([*live, *late, *resumed], known))
    rest = [*work, *_unfinished(store, finished), *_scans(store), *_copies(store, finished), *_sources(store)]
    found = [item for item, _ in artifacts if item.key not in kept] + [item for item in rest if item.used < since]
    return Found(tuple(sorted(found, key=lambda item: item.used, reverse=True)), kept)


def used(store: Store, what: What, key: str, location: str) -> Usage | None:
    """The size of what lies at ``location``, and when it was used last; None where nothing is."""
    found = usage(location)
    mark = usage(store.use_mark(key)) if found and store.remote and what == "artifact" else None
    return Usage(found.bytes, max(found.changed, mark.changed)) if found and mark else found


def _item(store: Store, what: What, name: str, key: str, location: str) -> Iterator[Garbage]:
    if found := used(store, what, key, location):
        yield Garbage(what, name, key, location, found.bytes, found.changed)


def _artifacts(store: Store) -> Iterator[tuple[Garbage, Manifest]]:
    for artifact in store.all():
        for item in _item(store, "artifact", f"{artifact.kind} {artifact.key[:12]}", artifact.key, artifact.location):
            yield item, artifact.manifest


def _work(store: Store) -> Iterator[Garbage]:
    folder = str(store.local / ".work")
    for key in filesystem.folders(folder):
        yield from _item(store, "unfinished work", key[:12], key, filesystem.join(folder, key))


def _unfinished(store: Store, finished: Set[str]) -> Iterator[Garbage]:
    """Folders of artifacts without a manifest that can be read: on S3, of work that was interrupted, or of a removal that was."""
    for kind, key in _folders(store.root):
        if (location := filesystem.join(store.root, kind, key)) not in finished:
            yield from _item(store, "unfinished work", f"{kind} {key[:12]}", key, location)


def _scans(store: Store) -> Iterator[Garbage]:
    for folder in (filesystem.join(store.root, name) for name in (".scans", ".deciding")):
        for key in filesystem.folders(folder):
            yield from _item(store, "interrupted reading", key[:12], key, filesystem.join(folder, key))


def _copies(store: Store, finished: Set[str]) -> Iterator[Garbage]:
    """Local copies of artifacts that are no longer on S3. A folder with a manifest is none: it is an artifact of a local store."""
    for kind, key in _folders(str(store.local)) if store.remote else []:
        copy = store.local / kind / key
        if filesystem.join(store.root, kind, key) not in finished and not (copy / MANIFEST).exists():
            yield from _item(store, "fetched copy", f"{kind} {key[:12]}", key, str(copy))


def _folders(root: str) -> Iterator[tuple[str, str]]:
    """Kind and key of each folder of an artifact."""
    for kind in filesystem.folders(root):
        if not kind.startswith("."):
            yield from ((kind, key) for key in filesystem.folders(filesystem.join(root, kind)))


def _sources(store: Store) -> Iterator[Garbage]:
    folder = str(store.local / ".sources")
    for name in filesystem.files(folder):
        yield from _item(store, "note of a source", name[:12], name, filesystem.join(folder, name))
