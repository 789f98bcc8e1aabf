"""The quality of the corpora behind the versions of a model."""

import json
import sqlite3
from functools import lru_cache

from pydantic import ValidationError

from dashboard.queries.behind import corpora_of
from ulmfit.corpora.corpus_record import CorpusRecord
from ulmfit.corpora.quality.quality_record import Quality
from ulmfit.report.corpus_quality import CorpusQuality, Finding, findings
from ulmfit.store.json import Facts

FIGURES = ("quarantined", "duplicates", "conflicting_labels", "tags", "broken")  # of the table over versions


class CorpusState(Facts):
    """The labelled corpus behind a version. ``documents`` and ``labels`` (documents that have one) of all splits; ``digest``: of its texts."""

    version: str
    key: str
    digest: str
    documents: dict[str, int]
    labels: dict[str, int]
    warnings: list[str]
    quality: Quality | None

    @property
    def findings(self) -> list[Finding]:
        """What was checked, in the order shown."""
        return findings(CorpusQuality.model_validate(self.quality.model_dump())) if self.quality else []


def states(reading: sqlite3.Connection, model: str) -> list[CorpusState]:
    """The corpora by version, the first one first; those of general text, which have no labels, are left out."""
    found = {}
    for row in corpora_of(reading, model):
        record = _record(row["record"])
        if record and record.labels:
            found[row["version"]] = _state(str(row["version"]), row["key"], record)
    return list(found.values())


@lru_cache(maxsize=256)  # records never change, and each of them is long
def _record(facts: str) -> CorpusRecord | None:
    """The record of a corpus without its parts; None where it is none."""
    try:
        return CorpusRecord.model_validate({**json.loads(facts), "parts": ()})
    except ValidationError:
        return None


def _state(version: str, key: str, record: CorpusRecord) -> CorpusState:
    train = record.splits.get("train")
    return CorpusState(
        version=version,
        key=key,
        digest=record.digest,
        documents={split: facts.documents for split, facts in record.splits.items()},
        labels=dict(train.labels) if train else {},
        warnings=list(record.warnings),
        quality=record.quality,
    )
