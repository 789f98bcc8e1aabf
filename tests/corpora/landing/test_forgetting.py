"""Documents that are forgotten: their text is in no file of the ledger, they come back by no way, and no interruption changes that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.corpora.landing.folder import Folder
from tests.faults import Killed, killed_after
from ulmfit.corpora.landing import ledger as module
from ulmfit.corpora.text_digests import exact, fold
from ulmfit.errors import UserError

HEADER = ("id", "text", "label")
ROWS = [(str(n), f"text number {n} is here", "ab"[n % 2]) for n in range(60)]
SECRET = ("7x", "My secret number is 1234", "a")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path, id_column="id")
    folder.rows("a.csv", *ROWS[:30], SECRET, *ROWS[30:], header=HEADER)
    folder.land()
    return folder


def live(folder: Folder) -> int:
    return int(folder.state.documents.live.sum())


def texts(folder: Folder) -> set[str]:
    """Every text in the ledger's raw parts, whether it counts or not."""
    return {text for path in Path(folder.ledger.location).rglob("*.parquet") if "quarantine" not in path.name
            for text in pq.read_table(path)["text"].to_pylist()}  # fmt: skip


@pytest.mark.parametrize("how", [
    {"ids": ["7x"]},
    {"digests": [fold(SECRET[1]).hex()]},
    {"digests": [exact(SECRET[1]).hex()]},
])  # fmt: skip
def test_a_forgotten_document_is_in_no_part(folder: Folder, how: dict[str, Any]) -> None:
    forgot = folder.ledger.forget(**how, because="asked to", by="ann")
    assert (forgot.documents, forgot.rows, forgot.unknown) == (1, 1, ())
    assert live(folder) == 60 and SECRET[1] not in texts(folder)
    assert forgot.entry.because == "asked to" and "secret" not in forgot.entry.model_dump_json()
    assert not any(b"secret" in path.read_bytes() for path in Path(folder.ledger.location).rglob("*") if path.is_file())


@pytest.mark.parametrize("row", [
    ("7x", "quite another text", "b"),  # the same id
    ("8x", "MY  secret number is 1234", "b"),  # the same text but for case
    SECRET,
])  # fmt: skip
def test_it_does_not_come_back(folder: Folder, row: tuple[str, str, str]) -> None:
    folder.ledger.forget(ids=["7x"], because="asked to")
    folder.rows("b.csv", row, ("9x", "an innocent text", "a"), header=HEADER)
    counts = folder.land().counts
    assert counts.quarantined == {"forgotten": 1} and counts.documents == 1
    assert live(folder) == 61
    assert not any(row[1].encode() in path.read_bytes() for path in Path(folder.ledger.location).rglob("*") if path.is_file())


def test_what_never_landed_is_refused_too(folder: Folder) -> None:
    forgot = folder.ledger.forget(ids=["later"], digests=[exact("Some Text").hex()], because="asked to")
    assert forgot.documents == 0 and forgot.unknown == ("later", exact("Some Text").hex())
    folder.rows("b.csv", ("later", "any text", "a"), ("x", "Some Text", "a"), header=HEADER)
    assert folder.land().counts.quarantined == {"forgotten": 2}


def test_every_text_that_an_id_ever_had_is_forgotten(folder: Folder) -> None:
    folder.rows("b.csv", ("7x", "No secret any more", "a"), ("8x", SECRET[1].lower(), "a"), header=HEADER)
    folder.land()
    assert folder.ledger.forget(ids=["7x"], because="asked to").rows == 3, "also the same text of another id"
    assert texts(folder) == {text for _, text, _ in ROWS}
    assert live(folder) == 60


def test_a_part_of_which_nothing_is_left(folder: Folder) -> None:
    folder.rows("b.csv", ("9x", "the only one", "a"), header=HEADER)
    folder.land()
    folder.ledger.forget(ids=["9x"], because="asked to")
    assert len(folder.state.parts) == 1 and live(folder) == 61
    assert folder.land().arrival is None, "its file is known still"


def test_what_is_no_digest(folder: Folder) -> None:
    for digest in ("xyz", "ab", "0" * 64):
        with pytest.raises(UserError, match="no digest of a text"):
            folder.ledger.forget(digests=[digest], because="asked to")
    assert live(folder) == 61


def test_an_interruption_at_any_write_is_made_good(tmp_path: Path) -> None:
    killed = 0
    for writes in range(100):
        folder = Folder(tmp_path / str(writes), id_column="id")
        folder.rows("a.csv", *ROWS[:3], SECRET, header=HEADER)
        folder.rows("b.csv", SECRET, *ROWS[10:13], header=HEADER)
        folder.land()
        try:
            with killed_after(writes):
                folder.ledger.forget(ids=["7x"], because="asked to")
        except Killed:
            killed += 1
        asked = any(entry.entry == "forgotten" for entry in folder.ledger.journal.read().entries)
        assert live(folder) == (6 if asked else 7)
        assert (SECRET[1] in texts(folder)) == (not asked)
        assert not module.unfinished(folder.ledger.journal.read().entries)
        if killed <= writes:
            break
    assert killed > 6, "there are many places to be killed at"
