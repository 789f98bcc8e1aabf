"""Checks on documents: what cannot be used is set aside with its reason, and what is doubtful is counted.

- NUL characters are taken out of the text, and the documents that held them counted.
- A row without text, with white space alone, with a lone surrogate, or (where labels are needed) without a label is
  quarantined. Where the unusable share passes ``QualityConfig.max_quarantined_share``, UserError.
- The same text with the same label twice in a split's rows: the first is kept (test rows are kept all: an official
  test set stays what it is).
- A text that also stands in the test rows, folded for case and white space, is taken out of train, valid and
  unlabelled; one that stands in valid, out of train and unlabelled; one that stands in train, out of unlabelled.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ulmfit.config import QualityConfig
from ulmfit.corpora.readers import Row
from ulmfit.errors import UserError

log = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test", "unlabelled")
EXCERPT = 80  # characters of a rejected record that are kept


@dataclass(frozen=True, slots=True)
class Document:
    """A document that can be used. ``fold`` is a digest of its text without regard to case and white space."""

    id: str
    text: str
    label: str | None
    fold: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row set aside."""

    source: str
    row: int
    reason: str
    excerpt: str


@dataclass
class Findings:
    """What the checks met on their way."""

    rows: int = 0
    quarantined: list[Rejected] = field(default_factory=list)
    duplicates: int = 0
    overlap_removed: int = 0
    with_nul: int = 0
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        log.warning("%s", message)


def fold(text: str) -> bytes:
    """16-byte digest of ``text`` folded for case and white space."""
    return hashlib.blake2b(" ".join(text.casefold().split()).encode(), digest_size=16).digest()


def inspect(rows: Iterable[Row], labelled: bool, findings: Findings) -> dict[str, list[Document]]:
    """The usable documents by split; a row whose source names no split is training data."""
    splits: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for row in rows:
        findings.rows += 1
        split = row.split or "train"
        reason, text, label = _judge(row, needs_label=labelled and split != "unlabelled")
        if reason:
            findings.quarantined.append(Rejected(row.source, row.row, reason, _excerpt(row.text)))
            continue
        findings.with_nul += text != row.text
        splits[split].append(Document(f"{row.source}:{row.row}", text, label, fold(text)))
    if findings.with_nul:
        findings.warn(f"{findings.with_nul} documents held NUL characters, which were removed")
    return splits


def _judge(row: Row, needs_label: bool) -> tuple[str, str, str | None]:
    """Why the row cannot be used (or ""), its cleaned text and its label."""
    if row.reason:
        return row.reason, "", None
    if row.text is None:
        return "no text", "", None
    if not isinstance(row.text, str):
        return "text is not a string", "", None
    text = row.text.replace("\0", "")
    if not text or text.isspace():
        return "empty", "", None
    if not _encodable(text):
        return "broken Unicode", "", None
    if not needs_label:
        return "", text, None
    label = label_text(row.label)
    if not label:
        return "no label", "", None
    return ("", text, label) if _encodable(label) else ("broken Unicode", "", None)


def _encodable(text: str) -> bool:
    """False for lone surrogates, which JSON escapes can bring in and no file can hold."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def label_text(value: Any) -> str:
    """The label as a string without outer white space; "" for none. 1 and 1.0 (an integer column with gaps) are both "1"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).replace("\0", "").strip()


def _excerpt(value: Any) -> str:
    return ("" if value is None else str(value))[:EXCERPT].encode(errors="replace").decode()


def check_quarantine(source: str, findings: Findings, quality: QualityConfig) -> None:
    """UserError where nothing or too little of ``source`` is left to use."""
    if not findings.rows:
        raise UserError(f"{source}: there are no documents in it; it needs rows (a csv: below its header)")
    bad = len(findings.quarantined)
    share = bad / findings.rows
    if bad:
        reasons = Counter(item.reason for item in findings.quarantined)
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        message = f"{bad} of {findings.rows} rows cannot be used ({listed})"
        first = findings.quarantined[0]
        if share > quality.max_quarantined_share or bad == findings.rows:
            allow = f", or allow it with --set quality.max_quarantined_share={math.ceil(share * 100) / 100}" if bad < findings.rows else ""
            raise UserError(
                f"{source}: {message}, the first is row {first.row} of {first.source}; mend the file or the column names{allow}"
            )
        findings.warn(f"{message}; they are listed in quarantine.parquet")


def drop_duplicates(splits: dict[str, list[Document]], findings: Findings) -> None:
    """Keep the first of equal documents (text and label) in each split but test; count them and conflicting labels."""
    for split, documents in splits.items():
        seen: set[tuple[str, str | None]] = set()
        kept = []
        for document in documents:
            key = (document.text, document.label)
            if key not in seen:
                seen.add(key)
                kept.append(document)
        twice = len(documents) - len(kept)
        findings.duplicates += twice
        if twice:
            kept = documents if split == "test" else kept
            findings.warn(f"{twice} duplicated documents in {split}" + (", left there" if split == "test" else ": each is kept once"))
        splits[split] = kept
    conflicts = _conflicts(splits["train"])
    if conflicts:
        findings.warn(f"{conflicts} texts of the training rows stand there with different labels")


def _conflicts(documents: list[Document]) -> int:
    labels: dict[bytes, str | None] = {}
    return len({item.fold for item in documents if labels.setdefault(item.fold, item.label) != item.label})


def drop_overlap(splits: dict[str, list[Document]], findings: Findings) -> None:
    """Take out of each split what also stands in a split that judges it (or, for unlabelled, that has it already)."""
    taken: set[bytes] = set()
    for split in ("test", "valid", "train", "unlabelled"):
        documents = splits[split]
        kept = documents if split == "test" else [item for item in documents if item.fold not in taken]
        removed = len(documents) - len(kept)
        if removed:
            findings.overlap_removed += removed
            findings.warn(f"{removed} documents of {split} also stand in another split and were removed from {split}")
        splits[split] = kept
        taken.update(item.fold for item in documents)
