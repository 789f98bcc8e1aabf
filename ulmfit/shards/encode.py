"""Encode token shards as id shards."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.errors import UserError
from ulmfit.shards.arrow import IDS_SUFFIX, SPLIT, TOKENS_SUFFIX, one_batch, read_ipc, write_ipc
from ulmfit.shards.corpus_part import document_columns
from ulmfit.shards.part_record import PartRecord, make_part
from ulmfit.store import filesystem
from ulmfit.text.vocab import Vocab

ENCODE_VERSION = 2


@dataclass(frozen=True)
class EncodeSpec:
    """Encode a token shard into ``folder`` with the vocabulary file. ``corpus``: the corpus part; a label's code is its place in ``labels``."""

    tokens: str
    corpus: str
    vocab: str
    labels: tuple[str, ...]
    folder: str

    @property
    def part(self) -> str:
        """The name of the part."""
        return Path(self.tokens).name.removesuffix(TOKENS_SUFFIX)


@lru_cache(maxsize=2)
def _vocab(location: str, _digest: str) -> Vocab:
    return Vocab.from_json(filesystem.read_bytes(location), location)


def encode_part(spec: EncodeSpec) -> PartRecord:
    """Write the id shard of one token shard; UserError for a label that is none of ``spec.labels``."""

    def write(location: str) -> pa.ListArray:
        documents = document_columns(spec.corpus, ["id", "label", "split"])
        vocab = _vocab(spec.vocab, filesystem.sha256(spec.vocab))
        table = id_table(read_ipc(spec.tokens), documents, vocab, spec.labels, spec.corpus)
        write_ipc(location, table)
        return one_batch(table).column("ids")

    return make_part(spec.folder, spec.part, IDS_SUFFIX, write)


def id_table(shard: pa.Table, documents: pa.Table, vocab: Vocab, labels: tuple[str, ...], source: str) -> pa.Table:
    """The id shard of a token shard, by one gather; ``documents``: id, label and split of each row. Quarantined ones are left out."""
    tokens = one_batch(shard).column("tokens")
    kept = pc.is_valid(tokens)
    if len(tokens) != len(documents):
        raise UserError(f"{source}: {len(documents)} documents, but {len(tokens)} in its token shard; delete both artifacts and run again")
    flat = tokens.values
    id_of = vocab.encode(flat.dictionary.to_pylist()).astype(vocab.dtype)
    offsets = tokens.offsets.to_numpy()  # a quarantined document has no tokens, so the others adjoin
    begins = np.append(offsets[:-1][kept.to_numpy(zero_copy_only=False)], offsets[-1])
    ids = pa.ListArray.from_arrays(pa.array(begins, pa.int32()), pa.array(id_of[flat.indices.to_numpy()]))
    documents = documents.filter(kept)
    columns = {
        "id": documents["id"],
        "ids": ids,
        "label": _codes(documents["label"], labels, source),
        "split": documents["split"].cast(SPLIT),
    }
    return pa.table(columns)


def _codes(column: pa.ChunkedArray, labels: tuple[str, ...], source: str) -> pa.ChunkedArray:
    codes = pc.index_in(column, value_set=pa.array(labels, pa.string()), skip_nulls=True)
    strange = column.filter(pc.and_(pc.is_null(codes), pc.is_valid(column)))
    if len(strange):
        raise UserError(
            f"{source}: label {strange[0].as_py()!r} is none of the {len(labels)} labels of the corpus; run the corpus stage again"
        )
    return pc.fill_null(codes, -1).cast(pa.int32())
