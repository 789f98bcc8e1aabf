"""Corpora whose documents have any number of labels."""

import json

import numpy as np
import pytest

from tests.corpora.corpus import ingest
from tests.corpora.test_decide import SUBJECT, facts_of
from tests.corpora.test_prepare import no_languages  # noqa: F401 - a fixture
from tests.corpora.test_rows import write
from ulmfit.config import CorpusConfig
from ulmfit.corpora.ingest.decide import decide
from ulmfit.corpora.quality.quality_record import Findings
from ulmfit.corpora.source import CorpusSource
from ulmfit.corpora.splits import TEST, TRAIN, VALID
from ulmfit.errors import UserError
from ulmfit.labels.label_strings import LabelStrings


def ingested(path, separator="|", test=None, **config):
    folder = path.parent / f"corpus-{path.stem}"
    source = CorpusSource(str(path), label_separator=separator, test=test)
    return ingest(source, folder, config=CorpusConfig(**config))


def documents(n=400, n_labels=12, seed=0):
    """Texts with labels of their own, of which the first is common and the last rare; most combinations are there once."""
    generator = np.random.default_rng(seed)
    chances = np.linspace(0.7, 0.03, n_labels)
    held = [[f"l{i}" for i in np.flatnonzero(generator.random(n_labels) < chances)] for _ in range(n)]
    return [(f"document {row}", "|".join(labels) or "|") for row, labels in enumerate(held)]


def labels_of(corpus, split):
    return [set(row["label"].split("|")) - {""} for row in corpus.split(split)]


def test_rare_combinations_are_no_reason_to_refuse_a_corpus(tmp_path):
    rows = documents()
    assert sum([label for _, label in rows].count(label) == 1 for _, label in rows) > 200, "most combinations are rare"
    corpus = ingested(write(tmp_path / "a.csv", rows))
    sizes = corpus.sizes()
    assert sizes["test"] == pytest.approx(80, abs=8) and sizes["valid"] == pytest.approx(32, abs=8)
    assert sum(sizes.values()) == 400
    assert corpus.record.labels == tuple(sorted({label for _, label in rows}))
    assert corpus.record.label_names == tuple(sorted(f"l{i}" for i in range(12)))


def test_every_label_is_spread_over_the_splits(tmp_path):
    corpus = ingested(write(tmp_path / "a.csv", documents(n=1000)))
    for name in corpus.record.label_names:
        counts = {split: sum(name in labels for labels in labels_of(corpus, split)) for split in ("train", "valid", "test")}
        total = sum(counts.values())
        assert counts["test"] == pytest.approx(0.2 * total, rel=0.5, abs=3) and counts["train"] >= 2, (name, counts)


def test_documents_are_counted_by_single_labels(tmp_path):
    corpus = ingested(write(tmp_path / "a.csv", documents()))
    quality = json.loads((corpus.folder / "quality.json").read_text())
    for split in ("train", "valid", "test"):
        found = {name: sum(name in labels for labels in labels_of(corpus, split)) for name in corpus.record.label_names}
        found = {name: count for name, count in found.items() if count}
        assert corpus.record.splits[split].labels == found
        shares = quality["splits"][split]["labels"]
        assert {name: shared["documents"] for name, shared in shares.items()} == found
        assert {shared["of"] for shared in shares.values()} == {len(corpus.split(split))}
    train = corpus.record.splits["train"].labels
    assert quality["class_ratio"] == pytest.approx(max(train.values()) / min(train.values()), abs=1e-3)


def test_a_combination_unseen_in_training_is_fine_and_an_unseen_label_is_not(tmp_path):
    train = [(f"train {i}", ["a", "b", "|"][i % 3]) for i in range(30)]
    unseen = write(tmp_path / "unseen.csv", [("both", "b|a"), ("none", "|")])
    corpus = ingested(write(tmp_path / "a.csv", train), test=str(unseen))
    assert labels_of(corpus, "test") == [{"a", "b"}, set()]
    strange = write(tmp_path / "strange.csv", [("fine", "a"), ("not so", "a|z")])
    with pytest.raises(UserError, match=r"row test/strange.csv:2 has the label 'a\|z', which no training row has \(they have: a, b\)"):
        ingested(write(tmp_path / "b.csv", train), test=str(strange))


def test_an_empty_label_among_others_is_told(tmp_path):
    with pytest.raises(UserError, match=r"'a\|\|b' has an empty label"):
        ingested(write(tmp_path / "a.csv", [("one", "a||b"), ("two", "b"), ("three", "a")]))


def test_the_same_labels_for_all_are_refused(tmp_path):
    with pytest.raises(UserError, match="one class only"):
        ingested(write(tmp_path / "a.csv", [(f"text {i}", "a|b") for i in range(9)]))


def test_the_order_of_labels_makes_no_other_document():
    splits = ("train", "train", "train", "train", "test")
    rows = list(zip(("a text", "a text", "more", "most", "test"), ("a|b", "b|a", "a", "b", "a"), splits, strict=True))
    findings = Findings()
    decided = decide(facts_of(rows), CorpusConfig(valid_share=0), True, SUBJECT, findings, "|")
    assert decided.split.tolist() == [TRAIN, -1, TRAIN, TRAIN, TEST]
    assert (findings.duplicates, findings.conflicting_labels) == (1, 0)


def test_a_sample_keeps_every_stratum():
    rows = [(text, label, "train") for text, label in documents(300)]
    decided = decide(facts_of(rows), CorpusConfig(max_train=40, max_test=20), True, SUBJECT, Findings(), "|")
    assert [(decided.split == code).sum() for code in (TRAIN, TEST)] == [40, 20] and (decided.split == VALID).any()
    held = {name for code in decided.label[decided.split == TRAIN] for name in decided.strings.sets[code]}
    assert held == set(decided.names)


def test_one_label_a_document_is_split_as_classes_are(tmp_path):
    rows = [(f"document {i}", "abc"[i % 3]) for i in range(90)]
    one, several = (ingested(write(tmp_path / f"{name}.csv", rows), separator) for name, separator in (("one", None), ("several", "|")))
    assert [row["split"] for row in one.rows] == [row["split"] for row in several.rows]
    assert one.record.splits == several.record.splits
    assert one.digest != several.digest, "what is counted may differ, so they are two corpora"
    assert one.record.label_names is None and several.record.label_names == ("a", "b", "c")


def test_arrays_by_string_have_a_place_for_none():
    held = LabelStrings.of(["a|b", "b|a", "c", "|"], "|")
    assert held.first_alike.tolist() == [0, 0, 2, 3, -1]
    assert held.trained(np.array([1, 0, 0, 0])).tolist() == [True, True, False, True, True]
    assert held.strata(np.array([0, 0, 2, 3, -1])).tolist() == [1, 1, 2, 0, -1]
    assert held.documents([2, 1, 0, 5]) == {"a": 3, "b": 3}
    assert held.names([2, 1]) == ["a", "b", "c"]
