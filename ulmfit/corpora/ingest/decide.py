"""The second step of ingest: what becomes of each document, decided from the facts alone (no text), in the driver.

The order is fixed: duplicates are dropped, test and valid taken or carved, overlaps removed, and only then are the ``max_*``
samples drawn. Splits and samples go by a digest of seed and text, not by the document's place, so that the order of a file does
not matter and a smaller sample is a part of a larger one.

- The same text with the same label twice in a split's rows: the first is kept (test rows are kept all: an official test set
  stays what it is).
- A text that also stands in the test rows, folded for case and white space, is taken out of train, valid and unlabelled; one
  that stands in valid, out of train and unlabelled; one that stands in train, out of unlabelled.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ulmfit.config import CorpusConfig
from ulmfit.corpora.ingest.digests import DIGEST
from ulmfit.corpora.ingest.label_strings import LabelSets
from ulmfit.corpora.quality.findings import Findings, SplitCounts
from ulmfit.corpora.quality.measuring import histogram
from ulmfit.corpora.splits import SPLITS
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.recipe import canonical_json

LEAST = 2  # training rows of a class
TRAIN, VALID, TEST, UNLABELLED = range(len(SPLITS))
DROPPED = -1
UNKNOWN = -1  # label
JUDGES = (TEST, VALID, TRAIN, UNLABELLED)  # each judges those behind it, or has their text already
CHUNK = 1 << 16  # documents hashed at a time


@dataclass(frozen=True)
class Facts:
    """What is known of N documents, in order of their source: 45 bytes each.

    ``exact`` and ``fold`` uint64 [N, 2], digests; ``label`` int32 [N], an index of ``labels`` (sorted) or ``UNKNOWN``; ``split``
    int8 [N], an index of ``SPLITS``; ``characters`` int64 [N].
    """

    exact: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    split: np.ndarray
    characters: np.ndarray
    labels: list[str]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Decided:
    """What becomes of N documents. ``split`` int8 [N], an index of ``SPLITS`` or ``DROPPED``; ``label`` int32 [N], as in Facts.

    ``held``: what each of the facts' labels is made of, where a document may have several.
    """

    facts: Facts
    split: np.ndarray
    label: np.ndarray
    held: LabelSets | None = None

    @property
    def labels(self) -> list[str]:
        """The labels of the documents that are kept, sorted."""
        return [self.facts.labels[code] for code in self._codes().tolist()]

    @property
    def names(self) -> list[str]:
        """The single labels of the documents that are kept, sorted."""
        return self.held.names(self._codes().tolist()) if self.held else self.labels

    def _codes(self) -> np.ndarray:
        """The labels' indices, int64 [labels]."""
        used = np.unique(self.label[self.split != DROPPED])
        return used[used != UNKNOWN]

    @property
    def digest(self) -> str:
        """SHA-256 over (split, label, exact text) of the documents kept, in order: no path, no time, no id."""
        digest = hashlib.sha256(canonical_json([self.held.separator, self.labels] if self.held else self.labels))
        number = np.full(len(self.facts.labels) + 1, UNKNOWN, np.int32)  # UNKNOWN finds the last
        number[self._codes()] = np.arange(len(self._codes()))
        for start in range(0, len(self.split), CHUNK):
            kept = start + np.flatnonzero(self.split[start : start + CHUNK] != DROPPED)
            rows = np.empty(len(kept), np.dtype([("split", "i1"), ("label", "<i4"), ("exact", "<u8", 2)]))
            rows["split"], rows["label"], rows["exact"] = self.split[kept], number[self.label[kept]], self.facts.exact[kept]
            digest.update(rows.tobytes())
        return digest.hexdigest()

    def counts(self) -> dict[str, SplitCounts]:
        """What each split holds."""
        return {split: self._counts(np.flatnonzero(self.split == code)) for code, split in enumerate(SPLITS)}

    def _counts(self, members: np.ndarray) -> SplitCounts:
        characters = self.facts.characters[members]
        counts = np.bincount(self.label[members] + 1, minlength=len(self.facts.labels) + 1)[1:].tolist()
        labels = {label: count for label, count in zip(self.facts.labels, counts, strict=True) if count}
        return SplitCounts(
            documents=len(members),
            characters=int(characters.sum()),
            labels=self.held.documents(counts) if self.held else labels,
            labelled=sum(counts),
            lengths=histogram(characters),
        )


def read_facts(places: list[str], documents: int) -> Facts:
    """The facts in the Arrow files ``places``, of ``documents`` documents in all, as one."""
    exact, fold = np.empty((documents, 2), np.uint64), np.empty((documents, 2), np.uint64)
    label, split, characters = np.empty(documents, np.int32), np.empty(documents, np.int8), np.empty(documents, np.int64)
    codes: dict[str, int] = {}
    start = 0
    for batch in _batches(places):
        here = slice(start, start + len(batch))
        exact[here], fold[here] = (_words(batch.column(name)) for name in ("exact", "fold"))
        label[here] = _codes(batch.column("label"), codes)
        split[here], characters[here] = batch.column("split").to_numpy(), batch.column("characters").to_numpy()
        start += len(batch)
    assert start == documents, "the facts are those that the records count"
    labels = sorted(codes)
    order = np.full(len(codes) + 1, UNKNOWN, np.int32)
    order[[codes[name] for name in labels]] = np.arange(len(codes))
    return Facts(exact, fold, order[label], split, characters, labels)


def _batches(places: list[str]) -> Iterator[pa.RecordBatch]:
    for place in places:
        with filesystem.input_file(place) as file:
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


# ------------------------------------------------------------------------------------------------------------ deciding


@dataclass(frozen=True)
class Subject:
    """What an error speaks of: the source, the column of its labels if they come from one, and the name of a document by number."""

    source: str
    column: str | None
    name_of: Callable[[int], str]

    @property
    def labels(self) -> str:
        return self.source if self.column is None else f"{self.source}: column {self.column!r}"


def decide(
    facts: Facts, config: CorpusConfig, labelled: bool, subject: Subject, findings: Findings, separator: str | None = None
) -> Decided:
    """The final split of each document; ``findings`` is added to. ``labelled=False``: general text, which has and needs no labels.
    ``separator``: what stands between the labels of a document; None: it has one.

    Raises UserError where the labels do not make a classification.
    """
    split, label = facts.split.copy(), facts.label.copy()
    folds = _groups(facts.fold)
    held = LabelSets.of(facts.labels, separator) if labelled and separator else None
    alike = replace(facts, label=held.first_alike[facts.label]) if held else facts
    _drop_duplicates(alike, split, folds, findings)
    if labelled:
        _check_labels(facts, split, subject, held)
    strata = replace(facts, label=held.strata(facts.label[split == TRAIN])[facts.label]) if held else facts
    _carve(strata, split, config, labelled)
    _drop_overlap(split, folds, findings)
    if labelled:
        _check_labels(facts, split, subject, held)  # again: what was removed may have been the last of its class
        if not (split == TEST).any():
            raise UserError(
                f"{subject.source}: there are no rows to test on; give them with --test, or leave corpus.test_share above 0 "
                f"and have more than {LEAST} rows in a class"
            )
    _sample(strata, split, label, config, labelled)
    return Decided(facts, split, label, held)


def _groups(digests: np.ndarray) -> np.ndarray:
    """int64 [N]: equal numbers, from 0 without gaps, for equal ``digests`` [N, 2]."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    changes = np.zeros(len(order), bool)
    for word in digests.T:
        ordered = word[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(changes)
    return groups


def _again(keys: np.ndarray) -> np.ndarray:
    """bool [N]: whether the same key stands before."""
    again = np.ones(len(keys), bool)
    again[np.unique(keys, return_index=True)[1]] = False
    return again


def _drop_duplicates(facts: Facts, split: np.ndarray, folds: np.ndarray, findings: Findings) -> None:
    """Keep the first of equal documents (text and label) in each split but test; count them and conflicting labels."""
    findings.folded_duplicates = int(_again(folds * len(SPLITS) + split).sum())
    texts = _groups(facts.exact)
    again = _again((texts * (len(facts.labels) + 1) + facts.label + 1) * len(SPLITS) + split)
    findings.duplicates = int(again.sum())
    for code, name in enumerate(SPLITS):
        twice = int(again[split == code].sum())
        if twice:
            findings.warn(f"{twice} duplicated documents in {name}" + (", left there" if code == TEST else ": each is kept once"))
    split[again & (split != TEST)] = DROPPED
    findings.conflicting_labels = _conflicts(folds[split == TRAIN], facts.label[split == TRAIN])
    if findings.conflicting_labels:
        findings.warn(f"{findings.conflicting_labels} texts of the training rows stand there with different labels")


def _conflicts(folds: np.ndarray, label: np.ndarray) -> int:
    """How many of the folds stand with more than one label."""
    pairs = ~_again(folds * (label.max(initial=0) + 2) + label + 1)
    return int((np.unique(folds[pairs], return_counts=True)[1] > 1).sum())


def _check_labels(facts: Facts, split: np.ndarray, subject: Subject, held: LabelSets | None) -> None:
    """The labels must make a classification: two classes or more, and none in the test rows alone."""
    train = facts.label[split == TRAIN]
    counts = np.bincount(train, minlength=len(facts.labels))
    known = np.flatnonzero(counts)
    if not len(known):
        raise UserError(f"{subject.labels}: there is no labelled training row")
    if len(known) == 1:
        raise UserError(
            f"{subject.labels} holds one class only ({facts.labels[known[0]]!r}); a classifier needs two: choose another with --label-column"
        )
    trained = held.trained(counts) if held else counts > 0
    for code in (TEST, VALID):
        strange = np.flatnonzero((split == code) & ~trained[facts.label])
        if len(strange):
            listed = ", ".join((held.names(known.tolist()) if held else [facts.labels[label] for label in known.tolist()])[:10])
            raise UserError(
                f"row {subject.name_of(int(strange[0]))} has the label {facts.labels[facts.label[strange[0]]]!r}, which no training row has "
                f"(they have: {listed}); mend or drop it"
            )
    if held:  # a combination of labels may be rare
        return
    rare = [facts.labels[label] for label in np.flatnonzero((counts > 0) & (counts < LEAST)).tolist()]
    if rare:
        others = f" (so have {len(rare) - 1} other classes)" if len(rare) > 1 else ""
        raise UserError(f"class {rare[0]!r} has 1 training row{others}: merge it with another class or drop it; each needs {LEAST} or more")


def _rank(folds: np.ndarray, purpose: str, seed: int) -> np.ndarray:
    """uint64 [n]: the places of documents in an order that depends on seed, purpose and text alone."""
    salt = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=16).digest()
    ranks = np.empty(len(folds), np.uint64)
    for start in range(0, len(folds), CHUNK):
        data = folds[start : start + CHUNK].tobytes()
        keyed = [hashlib.blake2b(data[at : at + DIGEST], digest_size=8, key=salt).digest() for at in range(0, len(data), DIGEST)]
        ranks[start : start + CHUNK] = np.frombuffer(b"".join(keyed), ">u8")
    return ranks


def _ranked_by_label(facts: Facts, members: np.ndarray, purpose: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``members`` label by label and in each by rank; their labels; and the place of each among its label, from 0."""
    label = facts.label[members]
    order = np.lexsort((_rank(facts.fold[members], purpose, seed), label))
    label = label[order]
    first = np.flatnonzero(np.diff(label, prepend=UNKNOWN - 1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return members[order], label, place


def _carve(facts: Facts, split: np.ndarray, config: CorpusConfig, labelled: bool) -> None:
    """Hold out rows of train for the splits the source lacks; each class stays in train and, if it can, is in the rest."""
    shares = {TEST: config.test_share, VALID: config.valid_share} if labelled else {VALID: config.valid_share}
    wanted = [code for code, share in shares.items() if share and not (split == code).any()]
    for later, code in zip(reversed(range(len(wanted))), wanted, strict=True):
        members, label, place = _ranked_by_label(facts, np.flatnonzero(split == TRAIN), SPLITS[code], config.seed)
        sizes = np.bincount(label + 1)
        due = np.array([_due(size, shares[code], later) if size else 0 for size in sizes.tolist()], np.int64)
        split[members[place < due[label + 1]]] = code


def _due(size: int, share: float, later: int) -> int:
    """How many of a class's ``size`` rows to hold out: one or more, but train keeps ``LEAST``, and each later split its one."""
    spare = size - LEAST
    return min(max(round(size * share), 1), spare - later if spare > later else spare)


def _drop_overlap(split: np.ndarray, folds: np.ndarray, findings: Findings) -> None:
    """Take out of each split what also stands in a split that judges it (or, for unlabelled, that has it already)."""
    findings.documents = {name: int((split == code).sum()) for code, name in enumerate(SPLITS)}
    holds = np.zeros(int(folds.max(initial=-1)) + 1, np.int8)  # [groups]: a bit for each split that holds the text
    for code in JUDGES:
        holds[folds[split == code]] |= 1 << code
    judging = 0
    for number, code in enumerate(JUDGES):
        members = np.flatnonzero(split == code)
        beside = holds[folds[members]]
        for other in JUDGES[number + 1 :]:
            if both := int(((beside & (1 << other)) != 0).sum()):
                findings.overlap[f"{SPLITS[other]}/{SPLITS[code]}"] = both
        removed = members[(beside & judging) != 0]
        if len(removed):
            findings.overlap_removed += len(removed)
            name = SPLITS[code]
            findings.warn(f"{len(removed)} documents of {name} also stand in another split and were removed from {name}")
        split[removed] = DROPPED
        judging |= 1 << code


def _sampled(facts: Facts, members: np.ndarray, total: int, purpose: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``total`` of the documents ``members``, of each label one and the rest in proportion; and those that are left.

    All are put in one order, whatever ``total`` is, so that a smaller sample is a part of a larger one: a label's first
    by rank, then the others by how far down among their label they stand.
    """
    ranked, label, place = _ranked_by_label(facts, members, purpose, seed)
    sizes = np.bincount(label + 1)
    classes = int((sizes[1:] > 0).sum())
    if total < classes:
        raise UserError(f"a sample of {total} documents is fewer than the {classes} classes; take {classes} or more")
    order = np.lexsort((label, (place + 0.5) / sizes[label + 1], place > 0))
    return ranked[order[:total]], ranked[order[total:]]


def _sample(facts: Facts, split: np.ndarray, label: np.ndarray, config: CorpusConfig, labelled: bool) -> None:
    """Apply ``max_*``. Rows that are not taken lose their label and are unlabelled text: text they still are.

    Validation rows shrink as training rows do, for their labels are used as well.
    """
    members = {code: np.flatnonzero(split == code) for code in (TRAIN, VALID, TEST)}
    if config.max_train is not None and len(members[TRAIN]) > config.max_train:
        _, spare = _sampled(facts, members[TRAIN], config.max_train, "train", config.seed)
        if labelled:
            fewer = math.ceil(config.max_train / len(members[TRAIN]) * len(members[VALID]))
            fewer = max(fewer, len(np.unique(facts.label[members[VALID]])))
            _, spare_valid = _sampled(facts, members[VALID], fewer, "max_valid", config.seed)
            spare = np.concatenate([spare, spare_valid])
            label[spare] = UNKNOWN
        split[spare] = UNLABELLED if labelled else DROPPED
    if config.max_test is not None and len(members[TEST]) > config.max_test:
        split[_sampled(facts, members[TEST], config.max_test, "max_test", config.seed)[1]] = DROPPED
    unlabelled = np.flatnonzero(split == UNLABELLED)
    if config.max_unlabelled is not None and len(unlabelled) > config.max_unlabelled:
        without = Facts(facts.exact, facts.fold, label, facts.split, facts.characters, facts.labels)
        split[_sampled(without, unlabelled, config.max_unlabelled, "unlabelled", config.seed)[1]] = DROPPED
