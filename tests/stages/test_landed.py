"""The corpus of what has landed: old parts are taken over, and what is not enough to train on is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpora.landing.folder import Folder
from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.landing import assembling
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
    keep = assembling._kept
    monkeypatch.setattr(assembling, "_kept", lambda raw, decisions: written.append(raw) or keep(raw, decisions))
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
