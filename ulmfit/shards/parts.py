"""The record that declares a part of a corpus done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile


@dataclass(frozen=True)
class PartRecord:
    """What was made of one part. ``distinct``: different tokens or ids."""

    part: str
    documents: int
    tokens: int
    distinct: int
    files: dict[str, StoredFile]
    seconds: float


def file_entries(places: Sequence[str]) -> dict[str, StoredFile]:
    """The ``files`` of a PartRecord."""
    return {Path(place).name: StoredFile(filesystem.sha256(place), filesystem.size(place)) for place in places}


def save_record(folder: str | Path, record: PartRecord) -> None:
    """Declare a part done. Its files must be written."""
    filesystem.write_bytes(filesystem.join(folder, f"{record.part}.json"), json.dumps(asdict(record), indent=1, sort_keys=True).encode())


def done_part(folder: str | Path, part: str) -> PartRecord | None:
    """The record of a part that is done; None where it is missing or a file is missing, cut short or changed."""
    try:
        record = TypeAdapter(PartRecord).validate_json(filesystem.read_bytes(filesystem.join(folder, f"{part}.json")))
        return record if record.files == file_entries([filesystem.join(folder, name) for name in record.files]) else None
    except (FileNotFoundError, ValueError):
        return None
