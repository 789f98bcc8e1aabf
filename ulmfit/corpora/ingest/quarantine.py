"""Quarantine: rows that cannot be used are set aside with their reason; too many of them stop a run.

A row cannot be used without text, with white space alone, with a lone surrogate, or (where labels are needed) without a label that
can be used.
NUL characters are removed from the text of the others.
"""

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ulmfit.config import QualityConfig
from ulmfit.corpora.ingest.writing import hashed_file, parquet_writer
from ulmfit.corpora.reading.formats import Row
from ulmfit.corpora.reading.reading_errors import no_documents
from ulmfit.corpora.text_digests import BLOCK, blocks
from ulmfit.errors import UserError
from ulmfit.labels.label_values import NoLabel, label_string
from ulmfit.store.digests import StoredFile

EXCERPT = 80  # characters of a rejected record that are kept
QUARANTINE_ROWS = 10_000  # that are held before they are written
QUARANTINE = pa.schema({"source": pa.string(), "row": pa.int64(), "reason": pa.string(), "excerpt": pa.string()})


def excerpt(text: Any) -> str:
    """The beginning of a text, which can be written whatever it is."""
    value = text if isinstance(text, str) else "" if text is None else str(text)
    return value[:EXCERPT].encode(errors="replace").decode()


def judge(row: Row, needs_label: bool, separator: str | None = None) -> tuple[str, str, int, str | None]:
    """The reason why the row cannot be used (or ""), its cleaned text, the text's bytes in UTF-8, and its label string.

    ``separator``: stands between the labels of a document; None: it has one.
    """
    if row.reason:
        return row.reason, "", 0, None
    if row.text is None:
        return "no text", "", 0, None
    if not isinstance(row.text, str):
        return "text is not a string", "", 0, None
    text = row.text.replace("\0", "")
    if not text or text.isspace():
        return "empty", "", 0, None
    size = _encoded_size(text)
    if not size:
        return "broken Unicode", "", 0, None
    if not needs_label:
        return "", text, size, None
    try:
        label = label_string(row.label, separator)
    except NoLabel as reason:
        return str(reason), "", 0, None
    return ("", text, size, label) if _encoded_size(label) else ("broken Unicode", "", 0, None)


def _encoded_size(text: str) -> int:
    """Bytes of a text in UTF-8; 0 for lone surrogates, which JSON escapes can bring in and no file can hold."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode()) if len(text) <= BLOCK else sum(len(block.encode()) for block in blocks(text))
    except UnicodeEncodeError:
        return 0


class Quarantine:
    """Writes rows set aside to the file ``name`` of ``folder``; the file is made with the first row and closed by ``opened``."""

    def __init__(self, folder: str, name: str, files: dict[str, StoredFile], opened: ExitStack):
        self._folder, self._name, self._files, self._opened = folder, name, files, opened
        self._held: list[tuple[str, int, str, str]] = []
        self._writer: pq.ParquetWriter | None = None
        self.counts: Counter[str] = Counter()
        self.first = ""

    def add(self, row: Row, reason: str) -> None:
        """Set a row aside."""
        self.first = self.first or f"row {row.row} of {row.source}"
        self.counts[reason] += 1
        self._held.append((row.source, row.row, reason, excerpt(row.text)))
        if len(self._held) == QUARANTINE_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows held."""
        if not self._held:
            return
        if self._writer is None:
            file = self._opened.enter_context(hashed_file(self._folder, self._name, self._files))
            self._writer = self._opened.enter_context(parquet_writer(file, QUARANTINE))
        self._writer.write_batch(pa.RecordBatch.from_arrays(list(map(pa.array, zip(*self._held, strict=True))), schema=QUARANTINE))
        self._held = []


def check_quarantine(source: str, rows: int, quarantined: Mapping[str, int], first: str, thresholds: QualityConfig) -> str | None:
    """A warning if any of the ``rows`` are unusable (``quarantined``: reason -> rows; ``first``: the first of them).

    Raises UserError where ``source`` has no usable rows, or a larger share of unusable ones than ``max_quarantined_share``.
    """
    if not rows:
        raise no_documents(source)
    bad = sum(quarantined.values())
    if not bad:
        return None
    share = bad / rows
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(quarantined.items(), key=lambda item: -item[1]))
    message = f"{bad} of {rows} rows cannot be used ({listed})"
    if share > thresholds.max_quarantined_share or bad == rows:
        allow = f", or allow it with --set quality.max_quarantined_share={math.ceil(share * 100) / 100}" if bad < rows else ""
        raise UserError(f"{source}: {message}, the first is {first}; correct the file or the column names{allow}")
    return f"{message}; they are listed in quarantine/"
