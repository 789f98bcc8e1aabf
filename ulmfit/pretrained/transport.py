"""Find, fetch, check and export pretrained language models.

A location holds ``manifest.json`` and per direction ``forward/`` or ``backward/`` with ``model.safetensors``, ``config.json`` and
``vocab.json``. The manifest names these files with their SHA-256; no other name in it is followed. A local folder needs no manifest.
"""

import hashlib
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ulmfit.config import ModelConfig
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.models.saving import load_language_model, read_saved_model, save_model
from ulmfit.pretrained.catalog import CATALOG, Known
from ulmfit.pretrained.manifest import FILES, MANIFEST, DirectionFacts, PretrainedManifest, check_files, file_digests, parse_manifest
from ulmfit.store import filesystem
from ulmfit.store.destinations import new_folder
from ulmfit.store.digests import is_intact
from ulmfit.store.download import CONNECT_TIMEOUT, Unreachable, download
from ulmfit.store.redirects import GuardedRedirects

LARGEST_MANIFEST = 1 << 20  # bytes


@dataclass(frozen=True)
class Pretrained:
    """Language models to start from, checked: the folder per direction, the sizes of both, and the manifest, if they have one."""

    folders: Mapping[Direction, Path]
    model: ModelConfig
    manifest: PretrainedManifest | None

    def digests(self, direction: Direction) -> dict[str, str]:
        """File name -> SHA-256 of the files of one direction, in the order of ``FILES``."""
        known = self.manifest.digests(direction) if self.manifest else {}
        return {name: known[name] for name in FILES} if known.keys() == set(FILES) else file_digests(self.folders[direction])

    def facts(self, direction: Direction) -> DirectionFacts:
        """What the manifest tells of the training of one direction."""
        return self.manifest.directions.get(direction, DirectionFacts()) if self.manifest else DirectionFacts()


def pretrained(name: str | Path, cache: Path | None = None) -> Pretrained:
    """The language models ``name``: one of the catalog, a local folder, ``s3://...`` or ``https://...``.

    Remote files are fetched into ``cache`` once, and checked every time. UserError where something is missing or damaged,
    or the directions differ in size.
    """
    known = CATALOG.get(str(name))
    location = known.location if known else str(name)
    remote = filesystem.is_remote(location) or location.startswith(("http://", "https://"))
    if remote and cache is None:
        raise UserError(f"{location}: a language model is fetched by the command line; fetch it into a folder, and name that")
    if not remote and not Path(location).is_dir():
        raise UserError(
            f"{location}: there is no such pretrained language model; name a folder with forward/ and backward/, or one of: {', '.join(CATALOG)}"
        )
    folder = _fetched(location, cache) if remote and cache else Path(location)
    folders = {direction: folder / direction for direction in DIRECTIONS if (folder / direction).is_dir()}
    if not folders:
        raise UserError(
            f"{location}: holds no forward/ or backward/ with a language model; name a folder that `ulmfit pretrain --export` wrote"
        )
    manifest = _checked_manifest(folder, known)
    size, *others = [read_saved_model(path, "language_model").model for path in folders.values()]
    if any(other != size for other in others):
        raise UserError(f"{folder}: forward and backward differ in size; take both from one pretraining")
    return Pretrained(folders, size, manifest)


def _checked_manifest(folder: Path, known: Known | None) -> PretrainedManifest | None:
    """The manifest, and all files are what it says. None where the folder has none."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        if known:
            raise UserError(f"{folder}: {MANIFEST} is missing; install the project again") from error
        return None
    if known and hashlib.sha256(data).hexdigest() != known.manifest:
        raise UserError(f"{folder / MANIFEST}: is not the one that the catalog knows; install the project again")
    manifest = parse_manifest(data, str(folder))
    check_files(folder, manifest.files)
    return manifest


def _fetched(location: str, cache: Path) -> Path:
    """The language models at ``location`` as a folder in ``cache``."""
    data = _read_manifest(location)
    folder = cache / "pretrained" / hashlib.sha256(data).hexdigest()[:32]
    filesystem.write_bytes(folder / MANIFEST, data)
    for name, digest in parse_manifest(data, location).files.items():
        target = folder / name
        if is_intact(target, digest):
            continue
        if filesystem.is_remote(location):
            filesystem.copy(filesystem.join(location, name), target)
        else:
            try:
                download(f"{location.rstrip('/')}/{name}", target, f"sha256:{digest}")
            except Unreachable as error:
                raise UserError(f"{error}; try again, or fetch it into a folder and name that") from error
    return folder


def _read_manifest(location: str) -> bytes:
    if filesystem.is_remote(location):
        try:
            return filesystem.read_bytes(filesystem.join(location, MANIFEST))
        except FileNotFoundError as error:
            raise UserError(f"{location}: holds no {MANIFEST}; name a folder that `ulmfit pretrain --export` wrote") from error
    url = f"{location.rstrip('/')}/{MANIFEST}"
    try:
        with urllib.request.build_opener(GuardedRedirects).open(url, timeout=CONNECT_TIMEOUT * 2) as answer:
            return answer.read(LARGEST_MANIFEST)
    except (urllib.error.URLError, OSError) as error:
        raise UserError(
            f"{url}: cannot be fetched ({getattr(error, 'reason', error)}); check the address, or fetch it into a folder and name that"
        ) from error


def export(target: str, folders: Mapping[Direction, Path], facts: PretrainedManifest) -> str:
    """Write language models, in 8 bits per weight, with the manifest of ``facts``, into a new or empty folder, also on S3; its location in full."""
    target = new_folder(target, "--export")
    with tempfile.TemporaryDirectory(prefix="ulmfit-export-") as name:
        work = Path(name)
        for direction, source in folders.items():
            (work / direction).mkdir()
            save_model(work / direction, load_language_model(source), read_saved_model(source, "language_model"), small=True)
            shutil.copyfile(source / "vocab.json", work / direction / "vocab.json")
        names = [f"{direction}/{file}" for direction in folders for file in FILES]
        digests = {file: filesystem.sha256(work / file) for file in names}
        body = facts.model_copy(update={"files": digests}).model_dump(mode="json")
        filesystem.write_bytes(work / MANIFEST, json.dumps(body, indent=1, ensure_ascii=False).encode())
        for file in [*names, MANIFEST]:  # the manifest last: it says that the rest is there
            filesystem.copy(work / file, filesystem.join(target, file))
    return target
