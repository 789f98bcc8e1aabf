"""A landing folder and its ledger, to put files into and see what becomes of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.landing.landing import Landing
from ulmfit.corpora.landing.ledger import LandedNow, Ledger
from ulmfit.corpora.landing.state import LandedState
from ulmfit.stages.landed import landed
from ulmfit.stages.outputs import Corpus
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store


def table(rows: Iterable[tuple[Any, ...]], header: tuple[str, ...] = ("text", "label")) -> str:
    """Rows as csv."""
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


class Folder:
    """``put`` files, ``land`` them, and read back the corpus."""

    def __init__(self, root: Path, **how: Any):
        self.path = root / "in"
        self.path.mkdir(parents=True, exist_ok=True)
        self.store = Store(root / "store")
        self.store.set_up()
        self.landing = Landing(str(self.path), **how)
        self.ledger = Ledger(self.store, "tickets")
        self.context = Context(self.store, root / "downloads")

    def put(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def rows(self, name: str, *rows: tuple[Any, ...], header: tuple[str, ...] = ("text", "label")) -> Path:
        """Write a csv."""
        return self.put(name, table(rows, header))

    def land(self) -> LandedNow:
        """Look, and take in what is ready."""
        return self.ledger.land(self.landing, self.ledger.look(self.landing, 0))

    @property
    def state(self) -> LandedState:
        return self.ledger.state()

    def corpus(self, config: CorpusConfig | None = None) -> Corpus:
        """The corpus of all that landed."""
        return make(landed(self.state, config or CorpusConfig(), QualityConfig()), self.context)

    def documents(self, config: CorpusConfig | None = None) -> list[dict[str, Any]]:
        """The rows of the corpus."""
        corpus = self.corpus(config)
        return [row for part in corpus.record.parts for row in pq.read_table(corpus.path / f"{part.name}.parquet").to_pylist()]
