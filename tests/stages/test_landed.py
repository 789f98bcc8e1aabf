"""The corpus of what has landed: old parts are taken over, and what is not enough to train on is one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.corpora.landing.folder import Folder, table
from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.landing import assembling
from ulmfit.corpora.landing.sides import Shares, side_of
from ulmfit.corpora.splits import TEST as TEST_SPLIT
from ulmfit.corpora.text_digests import fold
from ulmfit.errors import UserError
from ulmfit.stages.landed import landed

MANY = [(f"text number {n} is here", "ab"[n % 2]) for n in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_old_parts_are_taken_over(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rows("monday.csv", *MANY)
    folder.land()
    first = folder.corpus()
    folder.rows("tuesday.csv", ("a new text", "a"), ("another new text", "b"), ("and a third one", "a"))
    folder.land()
    written = []
    writer = assembling.parquet_writer
    monkeypatch.setattr(assembling, "parquet_writer", lambda file, schema: written.append(file) or writer(file, schema))
    second = folder.corpus()
    assert len(written) == 1, "the new part alone"
    assert second.record.parts[0].texts == first.record.parts[0].texts and len(second.record.parts) == 2
    assert second.key != first.key


def test_a_correction_changes_labels_and_no_text(folder: Folder) -> None:
    folder.rows("monday.csv", *MANY)
    folder.land()
    first = folder.corpus()
    folder.rows("again.csv", *((text, "a") for text, _ in MANY[:20]))
    folder.land()
    second = folder.corpus()
    assert [part.texts for part in second.record.parts] == [part.texts for part in first.record.parts]
    was = {row["id"]: row for row in folder.documents()}
    assert sum(row["label"] == "a" for row in was.values()) == 40


@pytest.mark.parametrize(("rows", "words"), [
    ([], "there are no documents"),
    ([("a text", "")] * 3, "no class has 2 labelled training rows yet"),
    ([(f"text {n}", "a") for n in range(30)], "one class only"),
    ([(f"text {n}", "ab"[n % 2]) for n in range(30)], "no labelled row is on the side test yet"),
])  # fmt: skip
def test_what_is_not_enough_to_train_on(folder: Folder, rows: list[tuple[str, str]], words: str) -> None:
    folder.rows("monday.csv", *rows)
    folder.land()
    with pytest.raises(UserError, match=words):
        landed(folder.state, CorpusConfig(test_share=0.0001), QualityConfig())


def test_a_rare_class_is_left_out_until_it_has_rows(folder: Folder) -> None:
    folder.rows("monday.csv", *MANY, ("a very rare thing", "rare"))
    folder.land()
    corpus = folder.corpus()
    assert corpus.record.labels == ("a", "b")
    assert any("'rare'" in warning for warning in corpus.record.warnings)


TEST = [(f"a test document {n}", "ab"[n % 2]) for n in range(8)]


@pytest.fixture
def with_test(tmp_path: Path) -> Folder:
    (tmp_path / "judges.csv").write_text(table([*TEST, TEST[0], ("no label", "")]))
    folder = Folder(tmp_path, test=str(tmp_path / "judges.csv"))
    folder.rows("monday.csv", *MANY, (TEST[3][0].upper(), "a"))
    folder.land()
    return folder


def test_a_test_file_of_its_own_keeps_its_role(with_test: Folder) -> None:
    assert with_test.state.arrivals[0].counts.documents == 60 and with_test.land().arrival is None
    splits = with_test.corpus().record.splits
    assert splits["test"].documents == 9, "as the file has them, twice as well; the one without a label is set aside"
    assert splits["train"].documents + splits["valid"].documents == 60, "a text of the test file is no other document"
    with_test.rows("tuesday.csv", *((f"another text {n}", "ab"[n % 2]) for n in range(40)))
    assert with_test.land().counts.documents == 40
    assert with_test.corpus().record.splits["test"].documents == 9, "no other row is held out for testing"


def test_another_test_file_takes_its_place(with_test: Folder) -> None:
    assert with_test.landing.test is not None
    Path(with_test.landing.test).write_text(table([(f"a new judge {n}", "ab"[n % 2]) for n in range(5)]))
    assert with_test.land().arrival is not None and with_test.land().arrival is None
    splits = with_test.corpus().record.splits
    assert splits["test"].documents == 5 and splits["train"].documents + splits["valid"].documents == 61


def test_a_model_that_had_no_test_file_at_first_gets_none(folder: Folder, tmp_path: Path) -> None:
    folder.rows("monday.csv", *MANY)
    folder.land()
    folder.corpus()
    (tmp_path / "judges.csv").write_text(table(TEST))
    folder.landing = replace(folder.landing, test=str(tmp_path / "judges.csv"))
    folder.land()
    with pytest.raises(UserError, match="at first it had no file of test documents"):
        folder.corpus()


def test_a_test_file_that_cannot_be_used_is_one_line(with_test: Folder) -> None:
    assert with_test.landing.test is not None
    Path(with_test.landing.test).write_text(table(TEST, ("body", "label")))
    with pytest.raises(UserError, match=r"judges.csv: there is no column 'text'"):
        with_test.land()
    Path(with_test.landing.test).unlink()
    with pytest.raises(UserError, match=r"judges.csv: there is no such file; --test takes"):
        with_test.land()


def test_documents_of_the_test_file_can_be_forgotten(with_test: Folder) -> None:
    forgot = with_test.ledger.forget(digests=[fold(TEST[0][0]).hex()], because="asked to")
    assert (forgot.documents, forgot.rows) == (2, 2)
    assert with_test.corpus().record.splits["test"].documents == 7


def test_several_labels_a_document(tmp_path: Path) -> None:
    folder = Folder(tmp_path, label_separator="|")
    strange = next(text for text in map("strange text {}".format, range(99)) if is_test(text))
    folder.rows("a.csv", *((f"text {n}", ["a", "b", "a|b", "|"][n % 4]) for n in range(120)), (strange, "a|c"))
    folder.land()
    record = folder.corpus().record
    assert record.label_names == ("a", "b") and record.labels == ("a", "a|b", "b", "|"), "no training row has the label c"


def is_test(text: str) -> bool:
    return bool(side_of(np.frombuffer(fold(text), np.uint64).reshape(1, 2), Shares(test=0.2, valid=0.1))[0] == TEST_SPLIT)
