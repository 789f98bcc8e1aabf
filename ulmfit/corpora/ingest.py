"""A corpus out of its source: read, check, split, sample, write.

The order is fixed: rows are checked, duplicates dropped, test and valid taken or carved, overlaps removed, and only
then are the ``max_*`` samples drawn. Splits and samples go by a digest of seed and text, not by the row's place, so
that the order of a file does not matter and a smaller sample is a part of a larger one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ulmfit.artifacts import canonical_json, sha256_file, write_atomic
from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora import quality as checks
from ulmfit.corpora.catalog import CATALOG, fetch
from ulmfit.corpora.quality import SPLITS, Document, Findings, Rejected
from ulmfit.corpora.readers import Row, check_encoding, data_files, read_rows
from ulmfit.errors import UserError

log = logging.getLogger(__name__)

INGEST_VERSION = 1
PART_BYTES = 8 << 20  # text of one Parquet part
LEAST = 2  # training rows of a class


@dataclass(frozen=True)
class CorpusSource:
    """What the user named: a corpus of the catalog, a file or a folder, and how to read it."""

    source: str
    text_column: str = "text"
    label_column: str | None = "label"
    test: str | None = None
    unlabelled: str | None = None
    encoding: str = "utf-8"


@dataclass
class LoadedCorpus:
    """Documents in their final splits, in order, with what the checks found."""

    name: str
    splits: dict[str, list[Document]]
    findings: Findings

    @property
    def labels(self) -> list[str]:
        return sorted({item.label for documents in self.splits.values() for item in documents if item.label is not None})

    @property
    def digest(self) -> str:
        """SHA-256 over (text, label, split) of the documents in order: no path, no time, no id."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for item in self.splits[split]:
                for value in (split, item.label, item.text):
                    data = b"" if value is None else value.encode()
                    digest.update(b"%d:" % (-1 if value is None else len(data)))
                    digest.update(data)
        return digest.hexdigest()


def peek(source: CorpusSource) -> None:
    """Raise the UserError that the first row of a file would raise: a missing file, a wrong column, a wrong encoding's name."""
    check_encoding(source.encoding)
    labels = {source.source: source.label_column, source.test: source.label_column, source.unlabelled: None}
    for place, label_column in labels.items():
        if place is not None and place not in CATALOG:
            next(read_rows(Path(place), source.text_column, label_column, source.encoding), None)


def fingerprint(source: CorpusSource, cache: Path) -> str:
    """SHA-256 over the raw bytes of every file of ``source`` and the choices of how to read them.

    A named corpus is fetched into ``cache`` where neither it nor the local data folder has it.
    """
    entries = []
    for role, place in (("main", source.source), ("test", source.test), ("unlabelled", source.unlabelled)):
        if place is not None:
            entries += [[role, name, sha256_file(path)] for name, path in _raw_files(place, cache)]
    choices = {name: value for name, value in asdict(source).items() if name not in ("source", "test", "unlabelled")}
    named = source.source if source.source in CATALOG else None
    return hashlib.sha256(canonical_json({"files": entries, "choices": choices, "named": named})).hexdigest()


def _raw_files(place: str, cache: Path) -> list[tuple[str, Path]]:
    """The files behind a name, file or folder, under names that do not depend on where they lie."""
    if place in CATALOG:
        return [(path.name, path) for path in fetch(place, cache).paths]
    root = Path(place)
    files = data_files(root)
    return [(path.relative_to(root).as_posix() if root.is_dir() else path.name, path) for path in files]


def load(source: CorpusSource, config: CorpusConfig, quality: QualityConfig, cache: Path, labelled: bool) -> LoadedCorpus:
    """Read, check, split and sample. ``labelled=False`` is for general text: labels are ignored and none is needed.

    Raises UserError where the source cannot be read, its labels do not make a classification, or too many rows are
    unusable.
    """
    check_encoding(source.encoding)
    if labelled and source.source in CATALOG and not CATALOG[source.source].labelled:
        raise UserError(f"{source.source} is general text without labels; pretrain on it with --pretrain and give a labelled corpus")
    findings = Findings()
    splits = checks.inspect(_rows(source, cache, labelled), labelled, findings)
    checks.check_quarantine(source.source, findings, quality)
    checks.drop_duplicates(splits, findings)
    if labelled:
        _check_labels(source, splits)
    _carve(splits, config, labelled)
    checks.drop_overlap(splits, findings)
    if labelled:
        _check_labels(source, splits)  # again: what was removed may have been the last of its class
        if not splits["test"]:
            raise UserError(
                f"{source.source}: there are no rows to test on; give them with --test, or leave corpus.test_share above 0 "
                f"and have more than {LEAST} rows in a class"
            )
    _sample(splits, config, labelled)
    return LoadedCorpus(_name(source), splits, findings)


def _name(source: CorpusSource) -> str:
    return source.source if source.source in CATALOG else Path(source.source).absolute().name


def _rows(source: CorpusSource, cache: Path, labelled: bool) -> Iterator[Row]:
    """All rows of the source, each with its split where something names one."""
    label_column = source.label_column if labelled else None
    if source.source in CATALOG:
        main = fetch(source.source, cache).rows()
    else:
        main = read_rows(Path(source.source), source.text_column, label_column, source.encoding)
    for row in main:
        if source.test is not None and row.split == "test":
            raise UserError(f"{source.source} has test rows of its own ({row.source}); leave --test {source.test} away")
        yield row
    if source.test is not None:
        yield from _as_split("test", read_rows(Path(source.test), source.text_column, label_column, source.encoding))
    if source.unlabelled is not None:
        yield from _as_split("unlabelled", read_rows(Path(source.unlabelled), source.text_column, None, source.encoding))


def _as_split(split: str, rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        yield replace(row, split=split, source=f"{split}/{row.source}")


def _check_labels(source: CorpusSource, splits: dict[str, list[Document]]) -> None:
    """The labels must make a classification: two classes or more, and none in the test rows alone."""
    known = {item.label for item in splits["train"]}
    where = f"{source.source}: column {source.label_column!r}" if source.source not in CATALOG else source.source
    if not known:
        raise UserError(f"{where}: there is no labelled training row")
    if len(known) == 1:
        raise UserError(f"{where} holds one class only ({known.pop()!r}); a classifier needs two: choose another with --label-column")
    for item in splits["test"] + splits["valid"]:
        if item.label not in known:
            listed = ", ".join(sorted(map(str, known))[:10])
            raise UserError(f"row {item.id} has the label {item.label!r}, which no training row has (they have: {listed}); mend or drop it")
    _check_classes(splits["train"])


def _check_classes(train: list[Document]) -> None:
    counts = Counter(item.label for item in train)
    rare = sorted(str(label) for label, count in counts.items() if count < LEAST)
    if rare:
        others = f" (so have {len(rare) - 1} other classes)" if len(rare) > 1 else ""
        raise UserError(f"class {rare[0]!r} has 1 training row{others}: merge it with another class or drop it; each needs {LEAST} or more")


def _rank(documents: list[Document], purpose: str, seed: int) -> list[int]:
    """Indices in an order that depends on seed, purpose and text alone."""
    salt = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=16).digest()
    return sorted(range(len(documents)), key=lambda i: hashlib.blake2b(documents[i].fold, digest_size=8, key=salt).digest())


def _take(documents: list[Document], chosen: set[int]) -> tuple[list[Document], list[Document]]:
    """Split into (taken, left) by index, each in the order given."""
    return [item for i, item in enumerate(documents) if i in chosen], [item for i, item in enumerate(documents) if i not in chosen]


def _carve(splits: dict[str, list[Document]], config: CorpusConfig, labelled: bool) -> None:
    """Hold out rows of train for the splits the source lacks; each class stays in train and, if it can, is in the rest."""
    shares = {"test": config.test_share, "valid": config.valid_share} if labelled else {"valid": config.valid_share}
    wanted = [split for split, share in shares.items() if share and not splits[split]]
    for later, split in zip(reversed(range(len(wanted))), wanted, strict=True):
        train = splits["train"]
        due = {label: _due(size, shares[split], later) for label, size in Counter(item.label for item in train).items()}
        chosen = set()
        for index in _rank(train, split, config.seed):
            if due[train[index].label] > 0:
                due[train[index].label] -= 1
                chosen.add(index)
        splits[split], splits["train"] = _take(train, chosen)


def _due(size: int, share: float, later: int) -> int:
    """How many of a class's ``size`` rows to hold out: one or more, but train keeps ``LEAST``, and each later split its one."""
    spare = size - LEAST
    return min(max(round(size * share), 1), spare - later if spare > later else spare)


def _sampled(documents: list[Document], total: int, purpose: str, seed: int) -> set[int]:
    """Indices of ``total`` documents: of each label one, and the rest in proportion.

    All are put in one order, whatever ``total`` is, so that a smaller sample is a part of a larger one: a label's first
    by rank, then the others by how far down among their label they stand.
    """
    sizes = Counter(item.label for item in documents)
    if total < len(sizes) and None not in sizes:
        raise UserError(f"a sample of {total} documents is fewer than the {len(sizes)} classes; take {len(sizes)} or more")
    met: Counter[str | None] = Counter()
    places = []
    for index in _rank(documents, purpose, seed):
        label = documents[index].label
        places.append((met[label] > 0, (met[label] + 0.5) / sizes[label], str(label), index))
        met[label] += 1
    return {index for *_, index in sorted(places)[:total]}


def _sample(splits: dict[str, list[Document]], config: CorpusConfig, labelled: bool) -> None:
    """Apply ``max_*``. Rows that are not taken lose their label and are unlabelled text: text they still are.

    Validation rows shrink as training rows do, for their labels are used as well.
    """
    if config.max_train is not None and len(splits["train"]) > config.max_train:
        share = config.max_train / len(splits["train"])
        splits["train"], spare = _take(splits["train"], _sampled(splits["train"], config.max_train, "train", config.seed))
        if labelled:
            fewer = max(math.ceil(share * len(splits["valid"])), len({item.label for item in splits["valid"]}))
            splits["valid"], spare_valid = _take(splits["valid"], _sampled(splits["valid"], fewer, "max_valid", config.seed))
            splits["unlabelled"] = splits["unlabelled"] + [replace(item, label=None) for item in [*spare, *spare_valid]]
    if config.max_test is not None and len(splits["test"]) > config.max_test:
        splits["test"], _ = _take(splits["test"], _sampled(splits["test"], config.max_test, "max_test", config.seed))
    if config.max_unlabelled is not None and len(splits["unlabelled"]) > config.max_unlabelled:
        splits["unlabelled"], _ = _take(
            splits["unlabelled"], _sampled(splits["unlabelled"], config.max_unlabelled, "unlabelled", config.seed)
        )


def write_corpus(loaded: LoadedCorpus, folder: Path) -> dict[str, Any]:
    """Write the Parquet parts, ``quarantine.parquet`` and, last, ``corpus.json``, whose content is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = {}
    for split, documents in loaded.splits.items():
        parts = [_write_part(folder, split, number, part) for number, part in enumerate(_parts(documents))]
        splits[split] = {
            "documents": len(documents),
            "characters": sum(len(item.text) for item in documents),
            "parts": parts,
            "labels": dict(sorted(Counter(item.label for item in documents if item.label is not None).items())),
        }
    write_quarantine(loaded.findings.quarantined, folder)
    manifest = {
        "name": loaded.name,
        "digest": loaded.digest,
        "labels": loaded.labels,
        "splits": splits,
        "quarantined": dict(Counter(item.reason for item in loaded.findings.quarantined)),
        "duplicates": loaded.findings.duplicates,
        "overlap_removed": loaded.findings.overlap_removed,
        "warnings": loaded.findings.warnings,
    }
    write_atomic(folder / "corpus.json", json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    return manifest


def _parts(documents: list[Document]) -> Iterator[list[Document]]:
    """Runs of documents of about ``PART_BYTES`` of text each."""
    part: list[Document] = []
    size = 0
    for item in documents:
        part.append(item)
        size += len(item.text)
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _write_part(folder: Path, split: str, number: int, documents: list[Document]) -> str:
    name = f"{split}-{number:05d}.parquet"
    columns = {
        "id": pa.array([item.id for item in documents], pa.string()),
        "text": pa.array([item.text for item in documents], pa.string()),
        "label": pa.array([item.label for item in documents], pa.string()),
        "split": pa.array([split] * len(documents), pa.string()),
    }
    pq.write_table(pa.table(columns), folder / name, compression="zstd")
    return name


def write_quarantine(rejected: list[Rejected], folder: Path) -> None:
    """``quarantine.parquet``: source, row, reason, excerpt; written also where nothing was set aside."""
    columns = {
        "source": pa.array([item.source for item in rejected], pa.string()),
        "row": pa.array([item.row for item in rejected], pa.int64()),
        "reason": pa.array([item.reason for item in rejected], pa.string()),
        "excerpt": pa.array([item.excerpt for item in rejected], pa.string()),
    }
    pq.write_table(pa.table(columns), folder / "quarantine.parquet", compression="zstd")
