"""Removing from a store beside processes that work in it.

A process that wants an artifact marks it as used and then looks for its manifest. Here the manifest disappears first, and then the
mark is looked at. So one of the two sees the other: either the artifact comes back, or the process misses it and builds it again.
Nothing is found of an artifact that is being removed; what a kill leaves of it, the next removal takes away.
"""

import os
import secrets
from pathlib import Path

from ulmfit.store import filesystem
from ulmfit.store.artifacts import MANIFEST, KnownPart, Store
from ulmfit.store.digests import in_parallel
from ulmfit.store.garbage import Garbage, used
from ulmfit.store.usage import Usage, usage


def remove(store: Store, item: Garbage) -> bool:
    """Remove what was found; False where somebody uses it by now, and it stays."""
    with store.lock_if_free(item.key) as free:
        if not free:
            return False
        if item.what == "artifact":
            return _remove_artifact(store, item)
        found = used(store, item.what, item.key, item.location)
        if found and found.changed > item.used:
            return False
        _discard(store, item.location)
        return True


def sweep(store: Store) -> None:
    """Remove what interrupted removals left, and notes of token parts that are gone; a part that another artifact has, too, is noted there."""
    filesystem.remove(store.local / ".removed")
    notes = [name.removesuffix(".json") for name in filesystem.files(filesystem.join(store.root, ".parts")) if name.endswith(".json")]
    if not notes:
        return
    places = {
        file.sha256: f"{artifact.kind}/{artifact.key}/{name}" for artifact in store.all() for name, file in artifact.manifest.files.items()
    }

    def mend(key: str) -> None:
        part = store.find_part(key)
        if part is None or filesystem.exists(part.location):
            return
        if part.sha256 in places:
            store.note_part(key, KnownPart(places[part.sha256], part.sha256))
        else:
            filesystem.remove(filesystem.join(store.root, ".parts", f"{key}.json"))

    in_parallel(mend, notes)


def _remove_artifact(store: Store, item: Garbage) -> bool:
    found = store.get(item.key)
    if found is None:
        return True
    store.note_gone(found.manifest)
    if not store.remote:
        aside = _aside(store, item.location)
        if usage(aside) != Usage(item.bytes, item.used):
            os.replace(aside, item.location)
            return False
        filesystem.remove(aside)
        return True
    manifest = filesystem.join(item.location, MANIFEST)
    content = filesystem.read_bytes(manifest)
    filesystem.remove(manifest)
    mark = usage(store.use_mark(item.key))
    if mark and mark.changed > item.used:
        filesystem.write_bytes(manifest, content)
        return False
    for location in (item.location, store.use_mark(item.key), found.copy):
        filesystem.remove(location)
    return True


def _discard(store: Store, location: str) -> None:
    """Remove files or folders of unfinished work; local ones disappear at once."""
    if filesystem.is_remote(location):
        filesystem.remove(location)
        return
    filesystem.remove(Path(location).with_suffix(".inputs"))
    filesystem.remove(_aside(store, location))


def _aside(store: Store, location: str) -> Path:
    """Where a local folder lies after it was moved out of sight."""
    aside = store.local / ".removed" / secrets.token_hex(8)
    aside.parent.mkdir(exist_ok=True)
    os.replace(location, aside)
    return aside
