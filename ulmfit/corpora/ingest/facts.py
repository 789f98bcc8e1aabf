"""What is known of each document without its text: digests, label, split, length. Decisions are made from these facts alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ulmfit.corpora.text_digests import DIGEST
from ulmfit.store import filesystem

UNKNOWN = -1  # in place of a label: the document has none
FACTS = pa.schema(
    {
        "exact": pa.binary(DIGEST),
        "fold": pa.binary(DIGEST),
        "label": pa.dictionary(pa.int32(), pa.string()),
        "split": pa.int8(),
        "characters": pa.int64(),
    }
)


@dataclass(frozen=True)
class DocumentFacts:
    """The facts of N documents, in the order of their source: 45 bytes each.

    ``exact`` and ``fold`` uint64 [N, 2]: digests (see ``text_digests.py``). ``label`` int32 [N]: an index of ``labels`` (sorted), or
    ``UNKNOWN``. ``split`` int8 [N]: an index of ``SPLITS``. ``characters`` int64 [N].
    """

    exact: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    split: np.ndarray
    characters: np.ndarray
    labels: list[str]

    def __len__(self) -> int:
        return len(self.label)


def read_facts(files: list[str], documents: int) -> DocumentFacts:
    """The facts of all ``documents`` documents in some Arrow files."""
    exact, fold = np.empty((documents, 2), np.uint64), np.empty((documents, 2), np.uint64)
    label, split, characters = np.empty(documents, np.int32), np.empty(documents, np.int8), np.empty(documents, np.int64)
    codes: dict[str, int] = {}
    start = 0
    for batch in _batches(files):
        here = slice(start, start + len(batch))
        exact[here], fold[here] = (_words(batch.column(name)) for name in ("exact", "fold"))
        label[here] = _codes(batch.column("label"), codes)
        split[here], characters[here] = batch.column("split").to_numpy(), batch.column("characters").to_numpy()
        start += len(batch)
    assert start == documents, "the facts are those that the records count"
    labels = sorted(codes)
    order = np.full(len(codes) + 1, UNKNOWN, np.int32)
    order[[codes[name] for name in labels]] = np.arange(len(codes))
    return DocumentFacts(exact, fold, order[label], split, characters, labels)


def _batches(files: list[str]) -> Iterator[pa.RecordBatch]:
    for path in files:
        with filesystem.input_file(path) as file:
            reader = pa.ipc.open_file(file)
            yield from (reader.get_batch(number) for number in range(reader.num_record_batches))


def _words(column: pa.FixedSizeBinaryArray) -> np.ndarray:
    """uint64 [rows, 2]."""
    return np.frombuffer(column.buffers()[1], np.uint64, 2 * len(column), DIGEST * column.offset).reshape(-1, 2)


def _codes(column: pa.DictionaryArray, codes: dict[str, int]) -> np.ndarray:
    """int32 [rows]: numbers of the labels in ``codes``, to which new ones are added."""
    numbers = [codes.setdefault(name, len(codes)) for name in column.dictionary.to_pylist()]
    local = column.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)
    return np.array([*numbers, UNKNOWN], np.int32)[local]
