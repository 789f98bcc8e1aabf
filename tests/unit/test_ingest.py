"""From a source to a written corpus."""

import os
import random
from collections import Counter

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_readers import write
from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora import ingest
from ulmfit.corpora.ingest import CorpusSource, fingerprint, load, write_corpus
from ulmfit.corpora.quality import Document, fold
from ulmfit.errors import UserError

RECORDS = [(f"document {i}, of class {'abc'[i % 3]}", "abc"[i % 3]) for i in range(300)]


def loaded(path, labelled=True, source=None, **config):
    return load(CorpusSource(str(path), **(source or {})), CorpusConfig(**config), QualityConfig(), path.parent / "cache", labelled)


def texts(corpus, split):
    return [item.text for item in corpus.splits[split]]


def fails(path, match, **options):
    with pytest.raises(UserError, match=match) as error:
        loaded(path, **options)
    assert "\n" not in str(error.value)


# --- identity


def test_the_digest_is_that_of_the_documents(tmp_path):
    places = ["a.csv", "b.tsv", "c.jsonl", "d.parquet", "e.csv.gz", "f.jsonl.zst", "deep/er/a.csv"]
    corpora = [loaded(write(tmp_path / place, RECORDS)) for place in places]
    assert len({corpus.digest for corpus in corpora}) == 1
    os.utime(tmp_path / "a.csv", (1, 1))
    assert loaded(tmp_path / "a.csv").digest == corpora[0].digest
    assert loaded(write(tmp_path / "x.csv", RECORDS[:-1])).digest != corpora[0].digest
    assert loaded(write(tmp_path / "y.csv", [(RECORDS[0][0], "b"), *RECORDS[1:]])).digest != corpora[0].digest
    assert loaded(tmp_path / "a.csv", seed=1).digest != corpora[0].digest


def test_the_fingerprint_is_that_of_bytes_and_choices(tmp_path):
    first = write(tmp_path / "one" / "a.csv", RECORDS)
    second = write(tmp_path / "two" / "a.csv", RECORDS)
    os.utime(second, (1, 1))
    key = fingerprint(CorpusSource(str(first)), tmp_path)
    assert key == fingerprint(CorpusSource(str(second)), tmp_path)
    assert key != fingerprint(CorpusSource(str(first), label_column="other"), tmp_path)
    assert key != fingerprint(CorpusSource(str(first), encoding="latin-1"), tmp_path)
    assert key != fingerprint(CorpusSource(str(first), test=str(second)), tmp_path)
    assert fingerprint(CorpusSource(str(first), test=str(second)), tmp_path) != fingerprint(
        CorpusSource(str(first), unlabelled=str(second)), tmp_path
    )
    second.write_text(second.read_text() + "more,a\n")
    assert key != fingerprint(CorpusSource(str(second)), tmp_path)


# --- splits


def test_splits_are_carved_by_class_and_seed(tmp_path):
    path = write(tmp_path / "a.csv", RECORDS)
    corpus = loaded(path)
    assert {split: len(items) for split, items in corpus.splits.items()} == {"train": 216, "valid": 24, "test": 60, "unlabelled": 0}
    for split, each in (("train", 72), ("valid", 8), ("test", 20)):
        assert Counter(item.label for item in corpus.splits[split]) == dict.fromkeys("abc", each)
    assert texts(loaded(path), "test") == texts(corpus, "test")
    assert set(texts(loaded(path, seed=1), "test")) != set(texts(corpus, "test"))
    everything = texts(corpus, "train") + texts(corpus, "valid") + texts(corpus, "test")
    assert sorted(everything) == sorted(text for text, _ in RECORDS)


def test_splits_do_not_go_by_the_order_of_the_file(tmp_path):
    shuffled = random.Random(3).sample(RECORDS, len(RECORDS))
    first, second = loaded(write(tmp_path / "a.csv", RECORDS)), loaded(write(tmp_path / "b.csv", shuffled))
    for split in ("train", "valid", "test"):
        assert set(texts(first, split)) == set(texts(second, split))


def test_the_sources_own_splits_are_kept(tmp_path):
    for number, name in enumerate(("train", "valid", "test")):
        write(tmp_path / "set" / f"{name}.csv", [(f"{name} {i}", "ab"[i % 2]) for i in range(10 + number)])
    (tmp_path / "set" / "unsup.csv").write_text("text\nfree\n")
    corpus = loaded(tmp_path / "set")
    assert {split: len(items) for split, items in corpus.splits.items()} == {"train": 10, "valid": 11, "test": 12, "unlabelled": 1}
    assert corpus.name == "set"


def test_test_and_unlabelled_files(tmp_path):
    main, test = write(tmp_path / "main.csv", RECORDS[:30]), write(tmp_path / "held.jsonl", RECORDS[30:60])
    (tmp_path / "free.txt").write_text("free one\nfree two\n")
    corpus = loaded(main, source={"test": str(test), "unlabelled": str(tmp_path / "free.txt")})
    assert texts(corpus, "test") == [text for text, _ in RECORDS[30:60]] and texts(corpus, "unlabelled") == ["free one", "free two"]
    assert corpus.splits["test"][0].id == "test/held.jsonl:1"


def test_two_tests_are_one_too_many(tmp_path):
    write(tmp_path / "set" / "train.csv", RECORDS[:30])
    write(tmp_path / "set" / "test.csv", RECORDS[30:60])
    fails(tmp_path / "set", "has test rows of its own", source={"test": str(write(tmp_path / "t.csv", RECORDS))})


def test_general_text_needs_no_labels(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"line {i}\n" for i in range(50)))
    corpus = loaded(tmp_path / "a.txt", labelled=False)
    assert {split: len(items) for split, items in corpus.splits.items()} == {"train": 45, "valid": 5, "test": 0, "unlabelled": 0}
    assert corpus.labels == []


def test_the_same_text_in_train_and_test_is_removed_from_train(tmp_path):
    write(tmp_path / "set" / "train.csv", [*RECORDS[:30], (RECORDS[30][0].upper() + " ", "a")])
    write(tmp_path / "set" / "test.csv", RECORDS[30:60])
    corpus = loaded(tmp_path / "set")
    assert corpus.findings.overlap_removed == 1 and len(corpus.splits["test"]) == 30
    assert len(corpus.splits["train"]) + len(corpus.splits["valid"]) == 30


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_no_class_is_carved_away(sizes, test_share, valid_share):
    documents = [
        Document(f"{label}:{i}", f"{label} {i}", str(label), fold(f"{label} {i}")) for label, size in enumerate(sizes) for i in range(size)
    ]
    splits = {"train": documents, "valid": [], "test": [], "unlabelled": []}
    ingest._carve(splits, CorpusConfig(test_share=test_share, valid_share=valid_share), labelled=True)
    left = Counter(item.label for item in splits["train"])
    for label, size in enumerate(sizes):
        assert left[str(label)] >= min(size, 2)
        if size >= 4:
            assert any(item.label == str(label) for item in splits["test"]) and any(item.label == str(label) for item in splits["valid"])
    assert sum(map(len, splits.values())) == len(documents)


# --- samples


def test_samples_leave_the_rest_as_unlabelled_text(tmp_path):
    path = write(tmp_path / "a.csv", RECORDS)
    corpus = loaded(path, max_train=30, max_test=15)
    assert {split: len(items) for split, items in corpus.splits.items()} == {"train": 30, "valid": 4, "test": 15, "unlabelled": 206}
    assert {item.label for item in corpus.splits["unlabelled"]} == {None}
    assert set(texts(corpus, "test")) < set(texts(loaded(path), "test")) and texts(loaded(path, max_train=30), "valid") == texts(
        corpus, "valid"
    )
    assert len(loaded(path, max_train=30, max_unlabelled=20).splits["unlabelled"]) == 20
    assert len(loaded(path, max_train=30, max_unlabelled=0).splits["unlabelled"]) == 0
    assert len(loaded(path, labelled=False, max_train=30).splits["unlabelled"]) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 5), st.data())
def test_samples_are_nested_and_in_proportion(sizes, seed, data):
    documents = [Document(f"{label}:{i}", "", str(label), fold(f"{label} {i}")) for label, size in enumerate(sizes) for i in range(size)]
    larger = data.draw(st.integers(len(sizes), len(documents)))
    smaller = data.draw(st.integers(len(sizes), larger))
    taken = {total: ingest._sampled(documents, total, "train", seed) for total in (smaller, larger)}
    assert taken[smaller] <= taken[larger] and [len(taken[smaller]), len(taken[larger])] == [smaller, larger]
    counts = Counter(documents[index].label for index in taken[smaller])
    assert len(counts) == len(sizes)
    for label, size in enumerate(sizes):
        assert counts[str(label)] <= size * smaller / len(documents) + 2


def test_max_samples_of_a_corpus_are_nested(tmp_path):
    path = write(tmp_path / "a.csv", RECORDS)
    for split, option in (("train", "max_train"), ("test", "max_test")):
        samples = [set(texts(loaded(path, **{option: count}), split)) for count in (5, 17, 50)]
        assert samples[0] < samples[1] < samples[2] and [len(sample) for sample in samples] == [5, 17, 50]


def test_a_sample_smaller_than_the_classes(tmp_path):
    fails(write(tmp_path / "a.csv", RECORDS), "a sample of 2 documents is fewer than the 3 classes", max_train=2)


# --- what is wrong with a corpus


def test_one_class_only(tmp_path):
    fails(write(tmp_path / "a.csv", [(f"text {i}", "spam") for i in range(9)]), r"a\.csv: column 'label' holds one class only \('spam'\)")


def test_labels_that_are_null_are_set_aside(tmp_path):
    path = write(tmp_path / "a.jsonl", [*RECORDS[:20], ("no label here", None)])
    corpus = loaded(path)
    assert [(item.row, item.reason) for item in corpus.findings.quarantined] == [(21, "no label")]
    fails(
        write(tmp_path / "b.parquet", [*RECORDS[:4], *[(f"t{i}", None) for i in range(6)]]),
        r"b\.parquet: 6 of 10 rows cannot be used \(6 no label\)",
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_class_of_one_row(tmp_path, kind):
    fails(write(tmp_path / f"a.{kind}", [*RECORDS, ("alone", "rare")]), "class 'rare' has 1 training row: merge it")
    fails(
        write(tmp_path / f"b.{kind}", [*RECORDS, ("alone", "rare"), ("too", "scarce")]),
        r"'rare' has 1 training row \(so have 1 other classes\)",
    )


def test_a_class_of_two_rows_is_enough(tmp_path):
    corpus = loaded(write(tmp_path / "a.csv", [*RECORDS, ("one", "rare"), ("two", "rare")]))
    assert Counter(item.label for item in corpus.splits["train"])["rare"] == 2


def test_nothing_to_test_on(tmp_path):
    two_each = write(tmp_path / "a.csv", RECORDS[:6])
    fails(two_each, r"a\.csv: there are no rows to test on; give them with --test")
    fails(write(tmp_path / "b.csv", RECORDS), "there are no rows to test on", test_share=0)
    assert len(loaded(two_each, source={"test": str(write(tmp_path / "t.csv", RECORDS[6:12]))}).splits["test"]) == 6


def test_a_class_whose_rows_all_stand_in_test(tmp_path):
    write(tmp_path / "set" / "train.csv", [*RECORDS[:30], ("x one", "rare"), ("x two", "rare")])
    write(tmp_path / "set" / "test.csv", [*RECORDS[30:60], ("X one", "rare"), ("X two", "rare")])
    fails(tmp_path / "set", "has the label 'rare', which no training row has")


def test_a_label_that_stands_in_test_alone(tmp_path):
    write(tmp_path / "set" / "train.csv", RECORDS[:30])
    write(tmp_path / "set" / "test.csv", [("odd one", "d")])
    fails(tmp_path / "set", r"row test\.csv:1 has the label 'd', which no training row has \(they have: a, b, c\)")


def test_no_labelled_training_row(tmp_path):
    write(tmp_path / "set" / "test.csv", RECORDS)
    fails(tmp_path / "set", "there is no labelled training row")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "b.txt"])
def test_a_header_or_nothing(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"") if name == "b.txt" else write(path, [])
    fails(path, rf"{name}: there are no documents in it", labelled=False)


def test_a_missing_file_is_told_by_both(tmp_path):
    fails(tmp_path / "gone.csv", r"gone\.csv: there is no such file")
    with pytest.raises(UserError, match="there is no such file"):
        fingerprint(CorpusSource(str(tmp_path / "gone.csv")), tmp_path)


# --- what is written


def test_a_corpus_is_written_as_its_manifest_says(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest, "PART_BYTES", 2000)
    path = write(tmp_path / "a.csv", [*RECORDS, ("", "a"), RECORDS[0], ("nul\0 here", "b")])
    corpus = loaded(path)
    manifest = write_corpus(corpus, tmp_path / "out")
    assert manifest["name"] == "a.csv" and manifest["labels"] == ["a", "b", "c"] and manifest["digest"] == corpus.digest
    assert manifest["quarantined"] == {"empty": 1} and manifest["duplicates"] == 1 and len(manifest["warnings"]) == 3
    listed = {name for split in manifest["splits"].values() for name in split["parts"]}
    assert {item.name for item in (tmp_path / "out").iterdir()} == listed | {"corpus.json", "quarantine.parquet"}
    assert len(manifest["splits"]["train"]["parts"]) > 2
    for split, entry in manifest["splits"].items():
        rows = [row for name in entry["parts"] for row in pq.read_table(tmp_path / "out" / name).to_pylist()]
        assert [(row["id"], row["text"], row["label"], row["split"]) for row in rows] == [
            (item.id, item.text, item.label, split) for item in corpus.splits[split]
        ]
        assert entry["documents"] == len(rows) and entry["characters"] == sum(len(row["text"]) for row in rows)
        assert entry["labels"] == dict(sorted(Counter(row["label"] for row in rows if row["label"]).items()))
    assert pq.read_table(tmp_path / "out" / "quarantine.parquet").to_pylist() == [
        {"source": "a.csv", "row": 301, "reason": "empty", "excerpt": ""}
    ]


def test_columns_keep_their_types_where_all_is_null(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    write_corpus(loaded(tmp_path / "a.txt", labelled=False), tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "train-00000.parquet")
    assert {name: str(schema.field(name).type) for name in schema.names} == dict.fromkeys(("id", "text", "label", "split"), "string")
    assert pq.read_table(tmp_path / "out" / "quarantine.parquet").num_rows == 0
