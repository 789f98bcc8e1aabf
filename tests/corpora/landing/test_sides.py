"""A document's side is decided once: by its text alone, in whatever order and company it comes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpora.landing.folder import Folder
from ulmfit.config import CorpusConfig
from ulmfit.corpora.landing.sides import Shares, side_of
from ulmfit.corpora.splits import TEST, TRAIN, VALID
from ulmfit.corpora.text_digests import fold
from ulmfit.errors import UserError

SHARES = st.builds(Shares, test=st.floats(0, 0.5), valid=st.floats(0, 0.5))


def folds(texts: list[str]) -> np.ndarray:
    return np.array([np.frombuffer(fold(text), np.uint64) for text in texts], np.uint64).reshape(-1, 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=30), SHARES, st.randoms(use_true_random=False), st.data())
def test_no_text_moves_whatever_comes_with_it(texts: list[str], shares: Shares, shuffled: random.Random, data: st.DataObject) -> None:
    alone = {text: side_of(folds([text]), shares)[0] for text in texts}
    shuffled.shuffle(texts)
    cut = data.draw(st.integers(0, len(texts)))
    for chunk in (texts[:cut], texts[cut:], texts):
        assert side_of(folds(chunk), shares).tolist() == [alone[text] for text in chunk]


def test_case_and_white_space_do_not_matter() -> None:
    texts = [f"Some Text {n}" for n in range(200)]
    other = [f"  some\ntext\t{n} " for n in range(200)]
    shares = Shares(test=0.3, valid=0.3)
    assert side_of(folds(texts), shares).tolist() == side_of(folds(other), shares).tolist()


@pytest.mark.parametrize(("test", "valid"), [(0.2, 0.1), (0.0, 0.1), (0.5, 0.5), (0.01, 0.0)])
def test_shares_come_out_right(test: float, valid: float) -> None:
    count = 40_000
    random_folds = np.random.default_rng(0).integers(0, 1 << 63, (count, 2)).astype(np.uint64)
    sides = side_of(random_folds, Shares(test=test, valid=valid))
    for code, share in ((TEST, test), (VALID, valid), (TRAIN, 1 - test - valid)):
        found = (sides == code).mean()
        assert abs(found - share) <= 4 * np.sqrt(share * (1 - share) / count) + 1e-12


def test_more_validation_rows_take_none_from_the_test_rows() -> None:
    some = folds([f"text {n}" for n in range(500)])
    few, many = (side_of(some, Shares(test=0.2, valid=valid)) for valid in (0.1, 0.3))
    assert ((few == TEST) == (many == TEST)).all()


WORDS = [f"text number {n}" for n in range(40)]
CHUNKS = st.lists(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["a", "b", ""])), min_size=1, max_size=12), min_size=1, max_size=5
)


@settings(max_examples=6, deadline=None)
@given(CHUNKS)
def test_a_document_of_the_corpus_keeps_its_split_while_others_land(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[list[tuple[str, str]]]
) -> None:
    seen: dict[str, str] = {}
    base = [(f"some base text {n}", "ab"[n % 2]) for n in range(60)]
    folder = Folder(tmp_path_factory.mktemp("landing"))
    for number, chunk in enumerate([base, *chunks]):
        folder.rows(f"{number}.csv", *chunk)
        folder.land()
        rows = folder.documents()
        assert len({row["text"] for row in rows}) == len(rows), "each text once"
        for row in rows:
            side = "train" if row["split"] == "unlabelled" else row["split"]
            assert seen.setdefault(row["text"], side) == side
            assert (row["label"] is None) == (row["split"] == "unlabelled")
    expected = {text: label for chunk in chunks for text, label in chunk if label}
    assert all(row["label"] == expected[row["text"]] for row in rows if row["text"] in expected), "the latest label counts"


def test_the_shares_stay_as_they_were_at_first(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.rows("a.csv", *((f"text {n}", "ab"[n % 2]) for n in range(60)))
    folder.land()
    folder.corpus()
    with pytest.raises(UserError, match=r"corpus.test_share=0.2 and corpus.valid_share=0.1; set these again"):
        folder.corpus(CorpusConfig(test_share=0.3))
    assert folder.corpus(CorpusConfig(seed=7, max_train=20)).record.splits["train"].documents == 20, "the rest is free"


def test_spare_validation_rows_are_not_trained_on(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.rows("a.csv", *((f"text {n}", "ab"[n % 2]) for n in range(200)))
    folder.land()
    whole = {row["text"]: row["split"] for row in folder.documents()}
    few = {row["text"]: row["split"] for row in folder.documents(CorpusConfig(max_train=20))}
    assert {whole[text] for text, split in few.items() if split == "unlabelled"} == {"train"}


@pytest.mark.parametrize("label", ["b" * 100_000, "b" * 61, "[red]" * 1000])
def test_a_label_that_fills_pages_is_told_in_a_few_letters(tmp_path: Path, label: str) -> None:
    texts = [f"a text of the number {number}" for number in range(60)]
    rare, lone = Folder(tmp_path / "rare"), Folder(tmp_path / "lone")
    rare.rows("a.csv", *[(text, "ab"[number % 2]) for number, text in enumerate(texts)], ("another text", label))
    lone.rows("a.csv", *[(text, label) for text in texts])
    rare.land(), lone.land()
    told = [warning for warning in rare.corpus().record.warnings if "left out" in warning]
    with pytest.raises(UserError, match="of one class only") as refused:
        lone.corpus()
    for line in (*told, str(refused.value).removeprefix(str(lone.path))):
        assert repr(label[:60])[:-1] + "…" in line and len(line) < 300
    assert told
