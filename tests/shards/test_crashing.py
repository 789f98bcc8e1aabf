"""The search for the document that kills: real child processes, and documents that do them harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.compute.parent import PARENT
from ulmfit.shards.crashing import CrashingDocument, documents, find_crashing_document
from ulmfit.shards.tokenise import TokenizeSpec

ROOT = Path(__file__).parents[2]
Make = Callable[..., TokenizeSpec]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A corpus part of (id, text, piece) rows, and the spec to tokenise it; the child processes have the faults on their path."""
    monkeypatch.setenv("FAULTS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests/integration/faults'}:{ROOT}")

    def make(*texts: str, rows: list[tuple[str, str, int]] | None = None, exclude: tuple[int, ...] = ()) -> TokenizeSpec:
        rows = rows or [(f"mail.csv:{number}", text, 0) for number, text in enumerate(texts)]
        ids, texts, pieces = zip(*rows, strict=True)
        table = {
            "id": ids,
            "text": texts,
            "label": [None] * len(rows),
            "split": ["train"] * len(rows),
            "piece": pa.array(pieces, pa.int32()),
        }
        pq.write_table(pa.table(table), tmp_path / "part-00003.parquet", row_group_size=2)
        return TokenizeSpec(str(tmp_path / "part-00003.parquet"), str(tmp_path), "en", "default", exclude)

    return make


def test_the_first_document_that_kills_is_named_as_the_corpus_counts_them(make: Make) -> None:
    name = json.dumps({"é\n": "\u2028"})
    rows = [("a", "the first", 0), ("b", "a long one ", 0), ("b", "in three ", 1), ("b", "pieces", 2), ("c", "killword", 0)]
    rows += [(name, "a crashword\n", 0), ("d", "killword", 0)]
    spec = make(rows=rows, exclude=(2,))
    assert [(number, name, "".join(pieces)) for number, name, pieces in documents(spec)] == [
        (0, "a", "the first"),
        (1, "b", "a long one in three pieces"),
        (3, name, "a crashword\n"),
        (4, "d", "killword"),
    ]
    assert find_crashing_document(spec) == CrashingDocument("part-00003", 3, name, "signal 11")


def test_a_piece_of_a_document_that_kills(make: Make) -> None:
    rows = [("a", "the first", 0), ("b", "a long one ", 0), ("b", "with a killword ", 1), ("b", "in it", 2)]
    assert find_crashing_document(make(rows=rows)) == CrashingDocument("part-00003", 1, "b", "signal 9")


def test_a_part_that_kills_nothing(make: Make) -> None:
    assert find_crashing_document(make("All is well.", "", "a killword set aside", exclude=(2,))) is None


def test_a_document_without_end(make: Make) -> None:
    assert find_crashing_document(make("one", "hangword"), patience=3) == CrashingDocument(
        "part-00003", 1, "mail.csv:1", "no end after 3 s"
    )


def test_a_document_that_needs_more_memory_than_a_worker_has(make: Make) -> None:
    found = find_crashing_document(make("one", "hungryword"), memory=1_000_000_000)
    assert found == CrashingDocument("part-00003", 1, "mail.csv:1", "more than 0.95 GB of memory")


def test_an_exception_is_told(make: Make) -> None:
    spec = make("one", "two")
    table = pq.read_table(spec.source)
    pq.write_table(table.set_column(1, "text", pa.array(["one", None])), spec.source)
    found = find_crashing_document(spec)
    assert found is not None
    assert (found.number, found.id) == (1, "mail.csv:1")
    assert found.death.startswith("exit code 1: ") and "None" in found.death


def test_a_part_that_cannot_be_read_is_no_documents_fault(make: Make) -> None:
    spec = make("one")
    Path(spec.source).write_bytes(b"no parquet")
    with pytest.raises(RuntimeError, match=r"part-00003: .* outside of any document, by exit code 1: .*not a part of a corpus"):
        find_crashing_document(spec)


def test_the_child_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """A document may keep it at work for ever. Here its parent has ended before it began."""
    command = [sys.executable, "-P", "-m", "ulmfit.shards.crashing", "no spec is read"]
    ended = subprocess.run(command, env={**os.environ, PARENT: "1", "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
