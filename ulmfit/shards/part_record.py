"""The record that declares a part of a corpus done: ``{part}.json`` beside its shard, written last."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import TypeAdapter

from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile, is_intact, stored_file


@dataclass(frozen=True)
class PartRecord:
    """What was made of one part. ``distinct``: different tokens or ids; ``files``: by name.

    It holds no times, so that two drivers that make the same part write the same bytes.
    """

    part: str
    documents: int
    tokens: int
    distinct: int
    files: dict[str, StoredFile]


def make_part(folder: str, part: str, suffix: str, write: Callable[[str], pa.ListArray]) -> PartRecord:
    """The record of a part. If the part is not done, ``write(location)`` writes its shard, and returns the tokens or ids of each document."""
    done = done_part(folder, part)
    if done:
        return done
    location = filesystem.join(folder, f"{part}{suffix}")
    documents = write(location)
    values = documents.values
    distinct = len(values.dictionary if pa.types.is_dictionary(values.type) else values.unique())
    files = {f"{part}{suffix}": stored_file(location)}
    record = PartRecord(part, len(documents), len(values), distinct, files)
    save_record(folder, record)
    return record


def save_record(folder: str | Path, record: PartRecord) -> None:
    """Declare a part done. Its files must be written."""
    filesystem.write_bytes(filesystem.join(folder, f"{record.part}.json"), json.dumps(asdict(record), indent=1, sort_keys=True).encode())


def done_part(folder: str | Path, part: str) -> PartRecord | None:
    """The record of a part that is done; None where it is missing, or a file is missing, cut short or changed."""
    try:
        record = TypeAdapter(PartRecord).validate_json(filesystem.read_bytes(filesystem.join(folder, f"{part}.json")))
    except (FileNotFoundError, ValueError):
        return None
    sound = all(is_intact(filesystem.join(folder, name), file.sha256, file.bytes) for name, file in record.files.items())
    return record if sound else None
