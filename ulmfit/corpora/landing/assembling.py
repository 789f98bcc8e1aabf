"""Writes a part of a corpus from a part that landed, on a worker; one that was written before, and has not changed, is taken over."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ulmfit.corpora.corpus_record import PartFacts
from ulmfit.corpora.ingest.assemble import CORPUS, PartInfo
from ulmfit.corpora.ingest.facts import UNKNOWN
from ulmfit.corpora.ingest.writing import hashed_file, parquet_writer
from ulmfit.corpora.reading.opening import open_parquet
from ulmfit.corpora.splits import DROPPED, SPLITS
from ulmfit.store import filesystem
from ulmfit.store.artifacts import KnownPart
from ulmfit.store.digests import StoredFile
from ulmfit.store.recipe import canonical_json

DECISIONS = pa.schema({"split": pa.int8(), "label": pa.dictionary(pa.int32(), pa.string())})


@dataclass(frozen=True)
class PartSpec:
    """Write ``part`` of the corpus in ``folder`` from the raw part ``raw``. ``decisions``: its file (see ``write_decisions``).

    ``facts``: of the part, but for its rows. ``known``: the finished part of another corpus that holds the same.
    """

    raw: str
    decisions: str
    folder: str
    facts: PartFacts
    known: KnownPart | None


def assemble_landed(spec: PartSpec) -> PartInfo:
    """Write the documents that are kept, with their splits and labels, a row group at a time."""
    name = f"{spec.facts.name}.parquet"
    location = filesystem.join(spec.folder, name)
    files: dict[str, StoredFile] = {}
    if spec.known and spec.known.taken_over(location):
        files[name] = StoredFile(spec.known.sha256, filesystem.size(location))
    else:
        with hashed_file(spec.folder, name, files) as file, parquet_writer(file, CORPUS) as writer:
            for table in _kept(spec.raw, _read_decisions(spec.decisions)):
                writer.write_table(table)
    with filesystem.input_file(location) as stored:
        rows = pq.read_metadata(stored).num_rows
    return PartInfo(spec.facts.model_copy(update={"rows": rows}), files)


def write_decisions(location: str, split: np.ndarray, label: np.ndarray, labels: Sequence[str]) -> str:
    """Write ``split`` int8 [n] and ``label`` int32 [n] (an index of ``labels``, or UNKNOWN) of a raw part's documents; returns a digest of them."""
    used = np.unique(label[label != UNKNOWN])
    codes = np.searchsorted(used, label).astype(np.int32)
    names = [labels[code] for code in used.tolist()]
    columns = [pa.array(split), pa.DictionaryArray.from_arrays(pa.array(codes, mask=label == UNKNOWN), pa.array(names, pa.string()))]
    with filesystem.output_file(location) as file, pa.ipc.new_file(file, DECISIONS) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=DECISIONS))
    digest = hashlib.sha256(canonical_json(names))
    for column in (split, np.where(label == UNKNOWN, UNKNOWN, codes).astype(np.int32)):
        digest.update(column.tobytes())
    return digest.hexdigest()


def _read_decisions(location: str) -> pa.Table:
    with filesystem.input_file(location) as file:
        return pa.ipc.open_file(file).read_all().combine_chunks()


def _kept(raw: str, decisions: pa.Table) -> Iterator[pa.Table]:
    """The rows of the documents that are kept, as the corpus has them, a row group at a time."""
    names, splits = pa.array(SPLITS, pa.string()), decisions["split"].to_numpy()
    labels = decisions["label"].cast(pa.string()).combine_chunks()
    begun = 0
    with open_parquet(raw) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            number = begun + np.cumsum(table["piece"].to_numpy() == 0)  # of each row's document, from 1
            begun = int(number[-1])
            kept = splits[number - 1] != DROPPED
            table, number = table.filter(pa.array(kept)), number[kept] - 1
            if len(table):
                rows = pa.array(number)
                columns = [table["id"], table["text"], labels.take(rows), names.take(pa.array(splits[number])), table["piece"]]
                yield pa.table(columns, schema=CORPUS)
