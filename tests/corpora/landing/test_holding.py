"""Documents of a corpus part that are forgotten, by their texts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.corpora.ingest.assemble import CORPUS
from ulmfit.corpora.landing.holding import forgotten_ids
from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.corpora.text_digests import exact, fold

ROWS = [("a", "Some text", 0), ("b", "A very ", 0), ("b", "long ", 1), ("b", "document", 2), ("c", "more", 0), ("d", "SOME  text", 0)]


@pytest.fixture
def part(tmp_path: Path) -> str:
    return write(tmp_path, ROWS)


def write(folder: Path, rows: list[tuple[str, str, int]]) -> str:
    ids, texts, pieces = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    nothing = [None] * len(rows)
    table = pa.table({"id": ids, "text": texts, "label": nothing, "split": ["train"] * len(rows), "piece": pieces}, schema=CORPUS)
    pq.write_table(table, folder / "part.parquet", row_group_size=3)
    return str(folder / "part.parquet")


def among(part: str, *texts: bytes) -> list[str]:
    return forgotten_ids(part, Refusal(texts=frozenset(texts)))


def test_documents_are_found_by_their_whole_text(part: str, tmp_path: Path) -> None:
    assert among(part, exact("Some text")) == ["a"] and among(part, fold("some TEXT")) == ["a", "d"]
    assert among(part, exact("A very long document"), fold("MORE")) == ["b", "c"]
    assert among(part, exact("A very "), exact("document")) == [] == among(part)
    alone = write(tmp_path, [row for row in ROWS if row[0] != "b"])
    assert among(alone, exact("more"), fold("some text")) == ["a", "c", "d"]


def test_an_id_says_nothing_of_another_corpus(part: str) -> None:
    assert forgotten_ids(part, Refusal(ids=frozenset([exact("a")]))) == []


def test_an_empty_part(tmp_path: Path) -> None:
    assert among(write(tmp_path, []), exact("")) == []
