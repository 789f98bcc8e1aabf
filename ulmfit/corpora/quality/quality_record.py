"""``quality.json``: its content as typed facts, and how they follow from what ingest measures and counts."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.corpora.quality.measuring import Measurements, histogram
from ulmfit.corpora.splits import judge_of
from ulmfit.store.json import Facts
from ulmfit.text.vocab import UNK, Vocab

log = logging.getLogger(__name__)

FORMAT = 1
COMMONEST = 20  # unknown tokens that are listed


@dataclass
class Findings:
    """What the checks find, in documents where nothing else is said.

    ``quarantined``: reason -> rows. ``overlap``: for a pair such as train/test, the documents of the judging split (test) that also
    stand in the other. ``documents``: of each split, before overlap is removed and samples are drawn.
    """

    rows: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    with_nul: int = 0
    duplicates: int = 0
    folded_duplicates: int = 0
    conflicting_labels: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    overlap: dict[str, int] = field(default_factory=dict)
    overlap_removed: int = 0
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Log a warning and keep it for the corpus's record."""
        self.warnings.append(message)
        log.warning("%s", message)


class Share(Facts):
    """``documents`` out of ``of``; ``share`` is 0 where ``of`` is."""

    documents: int
    of: int
    share: float

    @classmethod
    def out_of(cls, documents: int, of: int) -> Self:
        """The share, rounded to six places."""
        return cls(documents=documents, of=of, share=round(documents / of, 6) if of else 0.0)


class Measured(Facts):
    """The usable rows; of very long documents the first piece."""

    documents: int
    characters: int


class Languages(Facts):
    """``sampled`` documents, and how many the language of could be ``told``. ``main``: the commonest; its ``share`` of the told."""

    sampled: int
    told: int
    main: str | None
    share: float
    guessed: dict[str, Share]  # ISO 639 code -> share of the told, the commonest first


class SplitQuality(Facts):
    """A split of the finished corpus. ``lengths``: see ``measuring.histogram``; ``labels``: label -> share of labelled documents."""

    documents: int
    characters: int
    lengths: tuple[int, ...]
    labels: dict[str, Share]

    @classmethod
    def of(cls, characters: np.ndarray, labels: Mapping[str, int], labelled: int) -> Self:
        """From the ``characters`` [N] of its documents, the documents of each label, and those with labels (one may have several)."""
        shares = {label: Share.out_of(documents, labelled) for label, documents in labels.items()}
        total = int(np.sum(characters))
        return cls(documents=len(characters), characters=total, lengths=tuple(histogram(characters)), labels=shares)


class OutOfVocabulary(Facts):
    """``unknown`` of ``tokens`` become ``xxunk``. ``most_frequent``: (token, count), at most ``COMMONEST``."""

    tokens: int
    unknown: int
    share: float
    most_frequent: tuple[tuple[str, int], ...]


class Quality(Facts):
    """The content of ``quality.json``.

    ``found``: name -> share. Of all rows: ``quarantined``. Of the measured documents: ``duplicates`` (text and label of an earlier
    document of the split), ``folded_duplicates`` (also those that differ in case and white space), ``with_nul``, ``html``, ``tags``,
    ``line_breaks``, ``entities``, ``broken``. Of the training documents: ``conflicting_labels``.

    ``quarantined``: reason -> rows. ``overlap``: ``train/test`` and other pairs -> the share of the judging split that also stands in the
    other; test judges valid, valid judges train, and train judges unlabelled text. ``class_ratio``: documents of the largest
    class of train to those of the smallest; None without labels.
    """

    version: int
    measured: Measured
    found: dict[str, Share]
    quarantined: dict[str, int]
    overlap: dict[str, Share]
    languages: Languages
    splits: dict[str, SplitQuality]
    class_ratio: float | None


def describe(measured: Measurements, findings: Findings, splits: Mapping[str, SplitQuality]) -> Quality:
    """The quality of a corpus; ``measured`` of all its parts."""
    before = findings.documents
    of_measured = {name: getattr(findings, name) for name in ("duplicates", "folded_duplicates", "with_nul")}
    of_measured |= {name: getattr(measured, name) for name in ("html", "tags", "line_breaks", "entities", "broken")}
    return Quality(
        version=FORMAT,
        measured=Measured(documents=measured.documents, characters=measured.characters),
        found={
            "quarantined": Share.out_of(sum(findings.quarantined.values()), findings.rows),
            **{name: Share.out_of(documents, measured.documents) for name, documents in of_measured.items()},
            "conflicting_labels": Share.out_of(findings.conflicting_labels, before.get("train", 0)),
        },
        quarantined=findings.quarantined,
        overlap={pair: Share.out_of(documents, before.get(judge_of(pair), 0)) for pair, documents in findings.overlap.items()},
        languages=_languages(measured),
        splits=dict(splits),
        class_ratio=_class_ratio([label.documents for label in splits["train"].labels.values()] if "train" in splits else []),
    )


def _languages(measured: Measurements) -> Languages:
    told = sum(measured.languages.values())
    order = sorted(measured.languages.items(), key=lambda item: (-item[1], item[0]))
    guessed = {code: Share.out_of(documents, told) for code, documents in order}
    main = order[0][0] if order else None
    return Languages(sampled=measured.sampled, told=told, main=main, share=guessed[main].share if main else 0.0, guessed=guessed)


def _class_ratio(documents: Sequence[int]) -> float | None:
    return round(max(documents) / min(documents), 3) if documents and min(documents) else None


def out_of_vocabulary(counts: Mapping[str, int] | pa.Table, vocab: Vocab) -> OutOfVocabulary:
    """How many tokens ``vocab`` turns into ``xxunk``, which is unknown itself (WikiText writes it ``<unk>``).

    ``counts`` gives each token once: a mapping, or a table of the columns ``token`` and ``count``.
    """
    if not isinstance(counts, pa.Table):
        columns = {"token": pa.array(counts.keys(), pa.string()), "count": pa.array(counts.values(), pa.int64())}
        counts = pa.table(columns)
    known = pa.array([token for number, token in enumerate(vocab.tokens) if number != UNK], pa.string())
    unknown = counts.filter(pc.invert(pc.is_in(counts["token"], value_set=known)))
    order = [("count", "descending"), ("token", "ascending")]
    often = unknown.take(pc.select_k_unstable(unknown, COMMONEST, order)).to_pylist() if len(unknown) else []  # it cannot do none
    tokens, missed = pc.sum(counts["count"]).as_py() or 0, pc.sum(unknown["count"]).as_py() or 0
    pairs = tuple((row["token"], row["count"]) for row in often)
    return OutOfVocabulary(tokens=tokens, unknown=missed, share=round(missed / tokens, 6) if tokens else 0.0, most_frequent=pairs)
