"""The third step of ingest, on a worker: writes a part of the corpus from a raw part and what was decided."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.corpora.corpus_record import PartFacts
from ulmfit.corpora.ingest.facts import read_facts
from ulmfit.corpora.ingest.writing import hashed_file, once, parquet_writer
from ulmfit.corpora.reading.opening import open_parquet
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
    """A part that is written: its facts, and the digest of its file."""

    facts: PartFacts
    files: dict[str, StoredFile]


def assemble_part(spec: AssembleSpec) -> PartInfo:
    """Write the documents that are kept, with their splits, a row group at a time, if that is not done."""
    return once(filesystem.join(spec.records, f"{spec.part}.json"), PartInfo, spec.folder, lambda: _assemble(spec))


def _assemble(spec: AssembleSpec) -> PartInfo:
    with filesystem.input_file(spec.decisions) as stored:
        stored.seek(spec.first)
        decisions = np.frombuffer(stored.read(spec.documents), np.int8)
    files: dict[str, StoredFile] = {}
    rows = 0
    with hashed_file(spec.folder, f"{spec.part}.parquet", files) as file, parquet_writer(file, CORPUS) as writer:
        for table in _kept(filesystem.join(spec.scans, f"{spec.raw}.parquet"), decisions):
            writer.write_table(table)
            rows += len(table)
    kept = decisions != DROPPED
    documents = read_facts([filesystem.join(spec.scans, f"{spec.raw}.facts.arrow")], spec.documents)
    facts = PartFacts(
        name=spec.part,
        documents=int(kept.sum()),
        rows=rows,
        characters=int(documents.characters[kept].sum()),
        texts=hashlib.sha256(documents.exact[kept].tobytes()).hexdigest(),
    )
    return PartInfo(facts, files)


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
