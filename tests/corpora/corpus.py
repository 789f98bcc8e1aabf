"""A source made into a corpus, and read back."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ulmfit.config import CorpusConfig, PartsConfig, QualityConfig
from ulmfit.corpora.corpus_record import CorpusRecord
from ulmfit.corpora.ingest.prepare import prepare, write_corpus
from ulmfit.corpora.source import CorpusSource, Reading
from ulmfit.corpora.splits import SPLITS
from ulmfit.shards.mapping import serial
from ulmfit.store import filesystem

DEFAULT, PARTS = QualityConfig(), PartsConfig()


@dataclass
class Corpus:
    """What was written, and read back."""

    folder: Path
    record: CorpusRecord
    rows: list[dict[str, Any]]

    @property
    def digest(self):
        return self.record.digest

    @property
    def quarantine(self):
        files = sorted((self.folder / "quarantine").glob("part-*.parquet"))
        return [tuple(row.values()) for file in files for row in pq.read_table(file).to_pylist()]

    def split(self, name):
        return [row for row in self.rows if row["split"] == name]

    def sizes(self):
        return {split: len(self.split(split)) for split in SPLITS}

    def labels(self, split):
        return Counter(row["label"] for row in self.split(split))


def read_back(folder, record):
    tables = [pq.read_table(folder / f"{part.name}.parquet") for part in record.parts]
    return Corpus(folder, record, [row for table in tables for row in table.to_pylist()])


def ingest(source: CorpusSource, folder, labelled=True, config=None, thresholds=DEFAULT, parts=PARTS, mapper=serial):
    """The corpus of ``source``, written into ``folder``."""
    scans = filesystem.join(folder, ".scans")
    reading = Reading(source, labelled, folder.parent / "cache", parts)
    record, _ = write_corpus(prepare(reading, config or CorpusConfig(), thresholds, scans, mapper), str(folder), mapper)
    filesystem.remove(scans)
    return read_back(folder, record)
