"""Warnings where the text is not text."""

import pytest

from tests.corpora.corpus import ingest
from tests.corpora.test_rows import write
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.quality.measuring import measure
from ulmfit.corpora.quality.plausibility import doubtful_labels, doubtful_texts
from ulmfit.corpora.source import CorpusSource
from ulmfit.errors import UserError


@pytest.fixture(autouse=True)
def no_languages(monkeypatch):
    """Guessing languages takes a second to load, and is for other tests."""
    monkeypatch.setattr(measuring, "languages", lambda texts: {})


def told(texts, column="id"):
    return list(doubtful_texts(measure(texts), len(set(texts)) == 1, column))


NUMBERS, CODES = "have no letter", "are one word with digits"


@pytest.mark.parametrize(
    ("of", "parts"),
    [
        (lambda i: str(1000 + i), [NUMBERS, CODES]),
        (lambda i: f"{i * 17.25:.2f} €", [NUMBERS]),
        (lambda i: f"-{i}e-3", [CODES]),
        (lambda i: f"2024-01-{i:02d} 12:00", [NUMBERS]),
        (lambda i: f"TICKET-{i}", [CODES]),
        (lambda i: f"{i:08x}-12ab-4c3d-9e0f-000000000000", [CODES]),
        (lambda i: f"user{i}@example.org", [CODES]),
        (lambda i: "ab"[i % 2], ["have 1.0 characters on average"]),
        (lambda i: "always the same words", ["all 40 texts are the same"]),
        (lambda i: "7", ["all 40 texts are the same", "have 1.0 characters", NUMBERS, CODES]),
    ],
)
def test_what_is_no_text_is_told(of, parts):
    warnings = told([of(i) for i in range(40)])
    assert len(warnings) == len(parts) and all(part in warning for part, warning in zip(parts, warnings, strict=True))
    assert all("is 'id' the column of the text? Choose with --text-column" in warning for warning in warnings)


@pytest.mark.parametrize("of", ["document {}", "今天是2024年{}月", "in {}", "ok {} 👍", "№{} слово", "x" * 64 + "{}"])
def test_text_is_text(of):
    assert told([of.format(i) for i in range(40)]) == []


def test_some_numbers_among_texts_are_told():
    texts = [f"some words, {i}" for i in range(94)]
    assert told([*texts, *map(str, range(4))]) == []
    assert told([*texts, *map(str, range(6))]) == [
        "6 of 100 texts have no letter, as numbers have none: is 'id' the column of the text? Choose with --text-column"
    ]


@pytest.mark.parametrize("word", ["nan", "NaN", " null ", "None", "N/A", "<NA>", "#N/A", "NaT"])
def test_words_for_a_missing_value_are_told(word):
    assert told([word, "a text", "nantes is none"], None) == [
        "1 of 3 texts are words for a missing value (nan, null, None): drop those rows"
    ]
    assert len(list(doubtful_labels(["a", word, "nano"]))) == 1


def test_few_texts_say_nothing():
    assert told(["1", "2", "3"]) == []


def test_warnings_stand_in_the_record_of_the_corpus(tmp_path):
    records = [(str(1000 + i), "ab"[i % 2]) for i in range(40)] + [("nan", "NaN"), ("one more", "NaN"), ("and more", "NaN")]
    corpus = ingest(CorpusSource(str(write(tmp_path / "a.csv", records))), tmp_path / "corpus")
    about = [" ".join(warning.split()[:6]) for warning in corpus.record.warnings]
    assert about[0].startswith("1 of 43 texts are words") and about[1].startswith("40 of 43 texts have no")
    assert any("label 'NaN' is a word for a missing value" in warning for warning in corpus.record.warnings)


def test_a_column_of_one_value_is_told_before_its_labels_fail(tmp_path, caplog):
    path = write(tmp_path / "a.csv", [("same", "ab"[i % 2]) for i in range(40)])
    with pytest.raises(UserError, match="has 1 training row"):
        ingest(CorpusSource(str(path)), tmp_path / "corpus")
    assert "all 40 texts are the same: is 'text' the column of the text?" in caplog.text


@pytest.mark.parametrize(
    "labels",
    [
        ["Sport", "sport"],
        ["caf\u00e9", "cafe\u0301"],
        ["1", "1.0", "01"],
        ["True", "true", "TRUE"],
        ["ne ws", "ne  ws", "news\u200b"],
        ["\uff21\uff22", "ab"],
        ["'a'", '"a"'],
    ],
)
def test_labels_that_look_alike_are_told(labels):
    (told,) = [warning for warning in doubtful_labels([*labels, "other"]) if "look alike" in warning]
    assert f"but are {len(labels)} labels" in told and len(set(told.split(" look")[0].split(", "))) == len(labels)


def test_labels_that_differ_are_fine():
    assert list(doubtful_labels(["a", "b", "ab", "1", "2", "1.5", "10", "c++", "c", "-1", "rock 'n' roll"])) == []


@pytest.mark.parametrize("label", ["'a'", '"a"', '"two\nlines"'])
def test_quotes_around_a_label_are_told(label):
    assert [warning.split(": ")[1][:19] for warning in doubtful_labels([label, "b"])] == ["write double quotes"]
