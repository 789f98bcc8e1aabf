"""Checks on rows: what cannot be used is set aside with its reason, and what can be gets the digests that tell it from others.

- NUL characters are taken out of the text.
- A row without text, with white space alone, with a lone surrogate, or (where labels are needed) without a label is
  quarantined. Where the unusable share passes ``QualityConfig.max_quarantined_share``, UserError.
- Two digests of a text, 16 bytes each: ``exact`` of its bytes, ``fold`` of its words without regard to case and white space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ulmfit.config import QualityConfig
from ulmfit.corpora.ingest.digests import BLOCK, blocks
from ulmfit.corpora.reading.rows import Row
from ulmfit.errors import UserError

EXCERPT = 80  # characters of a rejected record that are kept


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row set aside."""

    source: str
    row: int
    reason: str
    excerpt: str

    @classmethod
    def of(cls, row: Row, reason: str) -> Rejected:
        value = row.text if isinstance(row.text, str) else "" if row.text is None else str(row.text)
        return cls(row.source, row.row, reason, value[:EXCERPT].encode(errors="replace").decode())


def judge(row: Row, needs_label: bool) -> tuple[str, str, int, str | None]:
    """Why the row cannot be used (or ""), its cleaned text, the text's length in bytes of UTF-8, and its label."""
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
    label = label_text(row.label)
    if not label:
        return "no label", "", 0, None
    return ("", text, size, label) if _encoded_size(label) else ("broken Unicode", "", 0, None)


def _encoded_size(text: str) -> int:
    """Bytes of a text in UTF-8; 0 for lone surrogates, which JSON escapes can bring in and no file can hold."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode()) if len(text) <= BLOCK else sum(len(block.encode()) for block in blocks(text))
    except UnicodeEncodeError:
        return 0


def label_text(value: Any) -> str:
    """The label as a string without outer white space; "" for none. 1 and 1.0 (an integer column with gaps) are both "1"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).replace("\0", "").strip()


def check_quarantine(source: str, rows: int, quarantined: Mapping[str, int], first: str, quality: QualityConfig) -> str | None:
    """What to say of the unusable rows (``quarantined`` of ``rows``, the first of them ``first``), if there are any.

    UserError where nothing or too little of ``source`` is left to use.
    """
    if not rows:
        raise UserError(f"{source}: there are no documents in it; it needs rows (a csv: below its header)")
    bad = sum(quarantined.values())
    if not bad:
        return None
    share = bad / rows
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(quarantined.items(), key=lambda item: -item[1]))
    message = f"{bad} of {rows} rows cannot be used ({listed})"
    if share > quality.max_quarantined_share or bad == rows:
        allow = f", or allow it with --set quality.max_quarantined_share={math.ceil(share * 100) / 100}" if bad < rows else ""
        raise UserError(f"{source}: {message}, the first is {first}; mend the file or the column names{allow}")
    return f"{message}; they are listed in quarantine/"
