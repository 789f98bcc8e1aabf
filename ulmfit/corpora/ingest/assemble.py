"""The third step of ingest: a raw part becomes a part of the corpus, without the documents that are dropped, on a worker."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.corpora.ingest.facts import read_facts
from ulmfit.corpora.ingest.writing import hashed_file, parquet_writer, sound
from ulmfit.corpora.reading.opening import open_parquet
from ulmfit.corpora.record import PartFacts
from ulmfit.corpora.splits import DROPPED, SPLITS, UNLABELLED
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile

CORPUS = pa.schema({"id": pa.string(), "text": pa.string(), "label": pa.string(), "split": pa.string(), "piece": pa.int32()})


@dataclass(frozen=True)
class AssembleSpec:
    """Assemble the raw part ``raw`` of the folder ``scans`` as ``part`` of the corpus in ``folder``.

    ``decisions``: a file of int8, a split per document of the corpus; this part's ``documents`` begin at ``first``. ``records``:
    the folder for the PartInfo.
    """

    scans: str
    raw: str
    decisions: str
    first: int
    documents: int
    folder: str
    part: str
    records: str


@dataclass(frozen=True)
class PartInfo:
    """A part that is written: its facts, the digest of its file, and the seconds that it took."""

    facts: PartFacts
    files: dict[str, StoredFile]
    seconds: float


def assemble_part(spec: AssembleSpec) -> PartInfo:
    """Write the documents that are kept, with their splits, a row group at a time. A part that is done is not written again."""
    done = _done(spec)
    if done:
        return done
    started = time.perf_counter()
    decisions = _decisions(spec)
    name = f"{spec.part}.parquet"
    files: dict[str, StoredFile] = {}
    rows = 0
    with hashed_file(spec.folder, name, files) as file, parquet_writer(file, CORPUS) as writer:
        for table in _kept(filesystem.join(spec.scans, f"{spec.raw}.parquet"), decisions):
            writer.write_table(table)
            rows += len(table)
    kept = decisions != DROPPED
    exact, characters = _facts(spec)
    facts = PartFacts(
        name=spec.part,
        documents=int(kept.sum()),
        rows=rows,
        characters=int(characters[kept].sum()),
        texts=hashlib.sha256(exact[kept].tobytes()).hexdigest(),
    )
    info = PartInfo(facts, files, round(time.perf_counter() - started, 3))
    body = {"facts": facts.model_dump(), "files": {name: asdict(file) for name, file in files.items()}, "seconds": info.seconds}
    filesystem.write_bytes(_record(spec), json.dumps(body, sort_keys=True).encode())
    return info


def _record(spec: AssembleSpec) -> str:
    return filesystem.join(spec.records, f"{spec.part}.json")


def _done(spec: AssembleSpec) -> PartInfo | None:
    """The record of a part that is done; None where it is missing, or the part is missing or changed."""
    try:
        body = json.loads(filesystem.read_bytes(_record(spec)))
        info = PartInfo(
            PartFacts.model_validate(body["facts"]), {name: StoredFile(**file) for name, file in body["files"].items()}, body["seconds"]
        )
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return info if sound(spec.folder, info.files) else None


def _decisions(spec: AssembleSpec) -> np.ndarray:
    """int8 [documents]."""
    with filesystem.input_file(spec.decisions) as file:
        file.seek(spec.first)
        return np.frombuffer(file.read(spec.documents), np.int8)


def _facts(spec: AssembleSpec) -> tuple[np.ndarray, np.ndarray]:
    """The part's ``exact`` digests, uint64 [documents, 2], and ``characters``, int64 [documents]."""
    facts = read_facts([filesystem.join(spec.scans, f"{spec.raw}.facts.arrow")], spec.documents)
    return facts.exact, facts.characters


def _kept(raw: str, decisions: np.ndarray) -> Iterator[pa.Table]:
    """The rows of the documents that are kept, as the corpus has them, a row group at a time."""
    names = pa.array(SPLITS, pa.string())
    begun = 0
    with open_parquet(raw) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            number = begun + np.cumsum(table["piece"].to_numpy() == 0)  # of each row's document, from 1
            begun = int(number[-1])
            split = decisions[number - 1]
            kept = split != DROPPED
            if not kept.all():
                table, split = table.filter(pa.array(kept)), split[kept]
            if not len(table):
                continue
            label = pc.if_else(pa.array(split == UNLABELLED), pa.scalar(None, pa.string()), table["label"])
            yield pa.table([table["id"], table["text"], label, names.take(pa.array(split)), table["piece"]], schema=CORPUS)
