"""Count the tokens of parts, add the tables up, and choose the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.config import VocabConfig
from ulmfit.shards.arrow import COUNTS_SUFFIX, one_batch, read_ipc, write_ipc
from ulmfit.store import filesystem
from ulmfit.text.vocab import Vocab

if TYPE_CHECKING:
    pass
from ulmfit.shards.columns import _document_columns

VOCAB_VERSION = 2

MOST_COUNTED = 2_000_000  # tokens that a table of counts keeps, so that a vocabulary's tail does not fill the memory
PRUNED = b"pruned"  # in a table's metadata: what a token that it lacks may have been seen at most


@dataclass(frozen=True)
class CountSpec:
    """Add up the tokens of ``splits`` in some parts, (token shard, corpus part) each, into the table ``{part}.counts.arrow``."""

    parts: tuple[tuple[str, str], ...]
    splits: tuple[str, ...]
    folder: str
    part: str


@dataclass(frozen=True)
class MergeSpec:
    """Add up tables of counts into the table ``{part}.counts.arrow``."""

    tables: tuple[str, ...]
    folder: str
    part: str


# -------------------------------------------------------------------------------------------------------------- count


def count_parts(spec: CountSpec) -> str:
    """Write the table of counts of some parts (``token`` string, ``count`` int64); returns its place."""
    return _write_counts(spec.folder, spec.part, (_counts(tokens, corpus, spec.splits) for tokens, corpus in spec.parts))


def merge_counts(spec: MergeSpec) -> str:
    """Write the sum of some tables of counts; returns its place."""
    return _write_counts(spec.folder, spec.part, (read_ipc(place) for place in spec.tables))


def _write_counts(folder: str, part: str, tables: Iterator[pa.Table]) -> str:
    place = filesystem.join(folder, f"{part}{COUNTS_SUFFIX}")
    if not filesystem.exists(place):  # it is written whole or not at all, and serves as an intermediate only
        write_ipc(place, add_counts(tables))
    return place


def _counts(tokens: str, corpus: str, splits: Sequence[str]) -> pa.Table:
    column = one_batch(read_ipc(tokens)).column("tokens")
    wanted = pc.is_in(_document_columns(corpus, ["split"])["split"], pa.array(splits)).to_numpy(zero_copy_only=False)
    flat = column.values
    lengths = np.diff(column.offsets.to_numpy())
    indices = flat.indices.to_numpy()[np.repeat(wanted, lengths)]
    count = np.bincount(indices, minlength=len(flat.dictionary)).astype(np.int64)
    seen = np.flatnonzero(count)
    return pa.table({"token": flat.dictionary.take(pa.array(seen)), "count": count[seen]})


def add_counts(tables: Iterator[pa.Table]) -> pa.Table:
    """The sum of tables of counts, the most frequent token first, ``MOST_COUNTED`` of them at most.

    What is left out makes later sums too small by as much as the metadata say (``pruned``).
    """
    total = pa.table({"token": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
    pruned = 0
    for table in tables:
        both = pa.concat_tables([total.replace_schema_metadata(), table.replace_schema_metadata()])
        total = both.group_by("token", use_threads=False).aggregate([("count", "sum")]).rename_columns(["token", "count"])
        pruned += _pruned(table)
        if len(total) > MOST_COUNTED:
            total = total.sort_by([("count", "descending"), ("token", "ascending")])
            pruned += total["count"][MOST_COUNTED].as_py()
            total = total.slice(0, MOST_COUNTED)
    return total.sort_by([("count", "descending"), ("token", "ascending")]).replace_schema_metadata({PRUNED: str(pruned).encode()})


def _pruned(counts: pa.Table) -> int:
    return int((counts.schema.metadata or {}).get(PRUNED, b"0"))


def build_vocab(counts: pa.Table, config: VocabConfig) -> Vocab:
    """The vocabulary of a table of counts as ``add_counts`` gives it."""
    frequent = counts.filter(pc.field("count") >= config.min_count)
    return Vocab.from_frequent(frequent["token"].slice(0, config.max_size).to_pylist(), config.max_size)
