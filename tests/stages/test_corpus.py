"""Ingest as a stage: its identity is found once, remembered, and nothing is lost when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.errors import UserError
from ulmfit.stages import corpus as module
from ulmfit.stages.corpus import ingest
from ulmfit.stages.outputs import Corpus
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store

ROWS = "".join(f"text number {n} of {n % 5},{'ab'[n % 2]}\n" for n in range(40))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    store = Store(tmp_path / "store")
    store.set_up()
    return Context(store, tmp_path / "downloads")


@pytest.fixture
def source(tmp_path: Path) -> CorpusSource:
    (tmp_path / "mail.csv").write_text(f"text,label\n{ROWS}")
    return CorpusSource(str(tmp_path / "mail.csv"))


def made(context: Context, source: CorpusSource, config: CorpusConfig | None = None) -> Corpus:
    return make(ingest(context, source, config or CorpusConfig(), QualityConfig(), True), context)


def test_a_second_ingest_reads_no_document(context: Context, source: CorpusSource, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(context, source)
    assert (first.record.source, first.record.more, first.record.settings) == (source.source, (), CorpusConfig())
    monkeypatch.setattr(module, "prepare", lambda *_: pytest.fail("read again"))
    assert made(context, source).key == first.key
    assert not list((context.store.local / ".scans").glob("*")), "what was scanned is removed"


def test_the_same_documents_elsewhere_are_the_same_corpus(context: Context, source: CorpusSource, tmp_path: Path) -> None:
    first = made(context, source)
    (tmp_path / "copy.csv").write_text(f"text,label\n{ROWS}")
    assert made(context, CorpusSource(str(tmp_path / "copy.csv"))).key == first.key
    assert made(context, source, CorpusConfig(seed=1)).key != first.key


def test_an_interrupted_ingest_keeps_what_it_scanned(context: Context, source: CorpusSource, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_corpus", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            made(context, source)
    scans = context.store.local / ".scans"
    assert list(scans.iterdir()), "the next run goes on from there"
    assert not list((context.store.local / ".sources").iterdir()), "no memo of a corpus that is not finished"
    assert made(context, source).record.splits["train"].documents > 0
    assert not list(scans.iterdir())


def test_a_source_that_cannot_be_used_leaves_nothing(context: Context, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,label\n" + "same label,a\n" * 9)
    with pytest.raises(UserError):
        made(context, CorpusSource(str(tmp_path / "bad.csv")))
    assert not list((context.store.local / ".scans").glob("*"))
    with context.store.lock("anything"):  # and no lock is held
        pass
