"""Language models to start from: the catalog of known ones, folders and stores of a team's own, and how they are written.

A place holds ``manifest.json`` and, for each direction, ``forward/`` or ``backward/`` with ``model.safetensors``, ``config.json`` and
``vocab.json``. The manifest names these files with their SHA-256; no other name in it is followed. A local folder may do without one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ulmfit.config import ModelConfig
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.models.saving import CONFIG, WEIGHTS, load_language_model, read_config, save_model
from ulmfit.pretrained.catalog import CATALOG, Known
from ulmfit.store import filesystem
from ulmfit.store.artifacts import sha256_file, write_atomic
from ulmfit.store.download import CONNECT_TIMEOUT, Unreachable, download

log = logging.getLogger(__name__)
FILES = (WEIGHTS, CONFIG, "vocab.json")
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1 << 20  # bytes


def pretrained(name: str | Path, cache: Path | None = None) -> dict[Direction, Path]:
    """A folder a direction of the language model ``name``: one of the catalog, a local folder, ``s3://...`` or ``https://...``.

    What is elsewhere is brought into ``cache`` once, and checked every time. UserError where it is not to be had, is not whole, or a
    file is not what the manifest says.
    """
    known = CATALOG.get(str(name))
    place = known.place if known else str(name)
    elsewhere = filesystem.is_remote(place) or place.startswith(("http://", "https://"))
    if elsewhere and cache is None:
        raise UserError(f"{place}: a language model is fetched by the command line; fetch it into a folder, and name that")
    if not elsewhere and not Path(place).is_dir():
        choices = ", ".join(CATALOG)
        raise UserError(
            f"{place}: there is no such pretrained language model; name a folder with forward/ and backward/, or one of: {choices}"
        )
    folder = _fetched(place, cache) if elsewhere and cache else Path(place)
    found = {direction: folder / direction for direction in DIRECTIONS if (folder / direction).is_dir()}
    if not found:
        raise UserError(
            f"{place}: holds no forward/ or backward/ with a language model; name a folder that `ulmfit pretrain --export` wrote"
        )
    if (folder / MANIFEST).is_file():
        _check(folder, known)
    elif known:
        raise UserError(f"{folder}: {MANIFEST} is missing; install the project again")
    for path in found.values():
        read_config(path, "language_model")
    return found


def sizes(parts: Mapping[Direction, Path]) -> ModelConfig:
    """The sizes of the language models, which are the same. UserError where they differ."""
    found = {direction: ModelConfig(**read_config(path, "language_model")["model"]) for direction, path in parts.items()}
    first, *others = found.values()
    if any(other != first for other in others):
        raise UserError(f"{next(iter(parts.values())).parent}: forward and backward differ in size; take both from one pretraining")
    return first


def export(target: str, parts: Mapping[Direction, Path], facts: Mapping[str, Any]) -> str:
    """Write language models, in 8 bits a weight, with a manifest of ``facts``, into a new or empty folder, also on S3."""
    if filesystem.is_remote(target) and filesystem.files(target):
        raise UserError(f"{target}: is not empty; choose a new folder")
    if not filesystem.is_remote(target) and Path(target).exists() and (not Path(target).is_dir() or any(Path(target).iterdir())):
        raise UserError(f"{target}: is there already; choose a new folder")
    with tempfile.TemporaryDirectory(prefix="ulmfit-export-") as name:
        work = Path(name)
        for direction, source in parts.items():
            config = read_config(source, "language_model")
            own = {fact: value for fact, value in config.items() if fact not in ("kind", "model", "dropouts", "vocab_size")}
            (work / direction).mkdir()
            save_model(work / direction, load_language_model(source), small=True, **own)
            shutil.copyfile(source / "vocab.json", work / direction / "vocab.json")
        names = [f"{direction}/{file}" for direction in parts for file in FILES]
        digests = {file: sha256_file(work / file) for file in names}
        write_atomic(work / MANIFEST, json.dumps({**facts, "files": digests}, indent=1, ensure_ascii=False).encode())
        for file in [*names, MANIFEST]:  # the manifest last: it says that the rest is there
            if not filesystem.is_remote(target):
                (Path(target) / file).parent.mkdir(parents=True, exist_ok=True)
            filesystem.copy(work / file, filesystem.join(target, file))
    return target


def manifest(folder: Path) -> dict[str, Any]:
    """What is said of the language models in ``folder``; nothing where it has no manifest. UserError where that is damaged."""
    try:
        body = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{folder / MANIFEST}: damaged ({error}); fetch the language model again") from error
    if not isinstance(body, dict) or not isinstance(body.get("files"), dict):
        raise UserError(f"{folder / MANIFEST}: is no manifest of a language model; name a folder that `ulmfit pretrain --export` wrote")
    return body


def _check(folder: Path, known: Known | None) -> None:
    """UserError unless all files are what the manifest says, and the manifest what the catalog says."""
    if known and sha256_file(folder / MANIFEST) != known.manifest:
        raise UserError(f"{folder / MANIFEST}: is not the one that the catalog knows; install the project again")
    for name, digest in _wanted(manifest(folder), str(folder)).items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: is missing; fetch the language model again")
        if sha256_file(folder / name) != digest:
            raise UserError(f"{folder / name}: damaged (its digest is not the manifest's); fetch the language model again")


def _wanted(body: Mapping[str, Any], place: str) -> dict[str, str]:
    """The files of a manifest that a language model consists of; UserError for any other name."""
    allowed = {f"{direction}/{file}" for direction in DIRECTIONS for file in FILES}
    strange = sorted(set(body["files"]) - allowed)
    if strange:
        raise UserError(f"{place}: its {MANIFEST} names {strange[0]!r}, which is no part of a language model; do not use it")
    return dict(body["files"])


def _fetched(place: str, cache: Path) -> Path:
    """The language model at ``place`` as a folder in ``cache``."""
    raw = _read_manifest(place)
    folder = cache / "pretrained" / hashlib.sha256(raw).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / MANIFEST, raw)
    for name, digest in _wanted(manifest(folder), place).items():
        target = folder / name
        if target.is_file() and sha256_file(target) == digest:
            continue
        target.parent.mkdir(exist_ok=True)
        if filesystem.is_remote(place):
            filesystem.copy(filesystem.join(place, name), target)
        else:
            try:
                download(f"{place.rstrip('/')}/{name}", target, f"sha256:{digest}")
            except Unreachable as error:
                raise UserError(f"{error}; try again, or fetch it into a folder and name that") from error
    return folder


def _read_manifest(place: str) -> bytes:
    if filesystem.is_remote(place):
        try:
            return filesystem.read_bytes(filesystem.join(place, MANIFEST))
        except FileNotFoundError as error:
            raise UserError(f"{place}: holds no {MANIFEST}; name a folder that `ulmfit pretrain --export` wrote") from error
    url = f"{place.rstrip('/')}/{MANIFEST}"
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT * 2) as answer:
            return answer.read(LARGEST_MANIFEST)
    except (urllib.error.URLError, OSError) as error:
        raise UserError(
            f"{url}: cannot be fetched ({getattr(error, 'reason', error)}); check the address, or fetch it into a folder and name that"
        ) from error
