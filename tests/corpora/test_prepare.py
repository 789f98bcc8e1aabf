"""From a source to a written corpus."""

import json
import os
import random
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpora.corpus import ingest, read_back
from tests.corpora.test_rows import write
from ulmfit.config import CorpusConfig, PartsConfig, QualityConfig
from ulmfit.corpora.corpus_record import CorpusRecord
from ulmfit.corpora.ingest.prepare import prepare, write_corpus
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.source import CorpusSource, Reading, fingerprint, peek
from ulmfit.errors import UserError
from ulmfit.shards.mapping import serial
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile
from ulmfit.text.cutting import LONGEST_PIECE

RECORDS = [(f"document {i}, of class {'abc'[i % 3]}", "abc"[i % 3]) for i in range(300)]


@pytest.fixture(autouse=True)
def no_languages(monkeypatch):
    """Guessing languages takes a second to load, and is for other tests."""
    monkeypatch.setattr(measuring, "languages", lambda texts: {})


def ingested(path, labelled=True, source=None, quality=None, parts=None, **config):
    folder = path.parent / "corpus"
    shutil.rmtree(folder, ignore_errors=True)
    settings = CorpusConfig(**config), QualityConfig(**(quality or {})), parts or PartsConfig()
    return ingest(CorpusSource(str(path), **(source or {})), folder, labelled, *settings)


def texts(corpus, split):
    return [row["text"] for row in corpus.split(split)]


def fails(path, match, **options):
    with pytest.raises(UserError, match=match) as error:
        ingested(path, **options)
    assert "\n" not in str(error.value)


# --- identity


def test_the_digest_is_that_of_the_documents(tmp_path):
    places = ["a.csv", "b.tsv", "c.jsonl", "d.parquet", "e.csv.gz", "f.jsonl.zst", "deep/er/a.csv"]
    corpora = [ingested(write(tmp_path / place, RECORDS)) for place in places]
    assert len({corpus.digest for corpus in corpora}) == 1
    os.utime(tmp_path / "a.csv", (1, 1))
    assert ingested(tmp_path / "a.csv").digest == corpora[0].digest
    assert ingested(write(tmp_path / "x.csv", RECORDS[:-1])).digest != corpora[0].digest
    assert ingested(write(tmp_path / "y.csv", [(RECORDS[0][0], "b"), *RECORDS[1:]])).digest != corpora[0].digest
    assert ingested(tmp_path / "a.csv", seed=1).digest != corpora[0].digest


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
    more = CorpusSource(str(first), more=(str(second),))
    assert len({key, fingerprint(more, tmp_path), fingerprint(CorpusSource(str(first), unlabelled=str(second)), tmp_path)}) == 3
    second.write_text(second.read_text() + "more,a\n")
    assert key != fingerprint(CorpusSource(str(second)), tmp_path)


# --- splits


def test_splits_are_carved_by_class_and_seed(tmp_path):
    path = write(tmp_path / "a.csv", RECORDS)
    corpus = ingested(path)
    assert corpus.sizes() == {"train": 216, "valid": 24, "test": 60, "unlabelled": 0}
    for split, each in (("train", 72), ("valid", 8), ("test", 20)):
        assert corpus.labels(split) == dict.fromkeys("abc", each)
    assert texts(ingested(path), "test") == texts(corpus, "test")
    assert set(texts(ingested(path, seed=1), "test")) != set(texts(corpus, "test"))
    everything = texts(corpus, "train") + texts(corpus, "valid") + texts(corpus, "test")
    assert sorted(everything) == sorted(text for text, _ in RECORDS)


def test_splits_do_not_go_by_the_order_of_the_file(tmp_path):
    shuffled = random.Random(3).sample(RECORDS, len(RECORDS))
    first, second = ingested(write(tmp_path / "a.csv", RECORDS)), ingested(write(tmp_path / "b.csv", shuffled))
    for split in ("train", "valid", "test"):
        assert set(texts(first, split)) == set(texts(second, split))


def test_the_sources_own_splits_are_kept(tmp_path):
    for number, name in enumerate(("train", "valid", "test")):
        write(tmp_path / "set" / f"{name}.csv", [(f"{name} {i}", "ab"[i % 2]) for i in range(10 + number)])
    (tmp_path / "set" / "unsup.csv").write_text("text\nfree\n")
    corpus = ingested(tmp_path / "set")
    assert corpus.sizes() == {"train": 10, "valid": 11, "test": 12, "unlabelled": 1}
    assert corpus.record.name == "set"


def test_test_and_unlabelled_files(tmp_path):
    main, test = write(tmp_path / "main.csv", RECORDS[:30]), write(tmp_path / "held.jsonl", RECORDS[30:60])
    (tmp_path / "free.txt").write_text("free one\nfree two\n")
    corpus = ingested(main, source={"test": str(test), "unlabelled": str(tmp_path / "free.txt")})
    assert texts(corpus, "test") == [text for text, _ in RECORDS[30:60]] and texts(corpus, "unlabelled") == ["free one", "free two"]
    assert corpus.split("test")[0]["id"] == "test/held.jsonl:1"


def test_two_tests_are_one_too_many(tmp_path):
    write(tmp_path / "set" / "train.csv", RECORDS[:30])
    write(tmp_path / "set" / "test.csv", RECORDS[30:60])
    fails(tmp_path / "set", "has test rows of its own", source={"test": str(write(tmp_path / "t.csv", RECORDS))})


def test_general_text_needs_no_labels(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"line {i}\n" for i in range(50)))
    corpus = ingested(tmp_path / "a.txt", labelled=False)
    assert corpus.sizes() == {"train": 45, "valid": 5, "test": 0, "unlabelled": 0}
    assert corpus.record.labels == ()


def test_the_same_text_in_train_and_test_is_removed_from_train(tmp_path):
    write(tmp_path / "set" / "train.csv", [*RECORDS[:30], (RECORDS[30][0].upper() + " ", "a")])
    write(tmp_path / "set" / "test.csv", RECORDS[30:60])
    corpus = ingested(tmp_path / "set")
    assert corpus.record.overlap_removed == 1 and len(corpus.split("test")) == 30
    assert len(corpus.split("train")) + len(corpus.split("valid")) == 30


# --- samples


def test_samples_leave_the_rest_as_unlabelled_text(tmp_path):
    path = write(tmp_path / "a.csv", RECORDS)
    corpus = ingested(path, max_train=30, max_test=15)
    assert corpus.sizes() == {"train": 30, "valid": 4, "test": 15, "unlabelled": 206}
    assert set(corpus.labels("unlabelled")) == {None}
    assert set(texts(corpus, "test")) < set(texts(ingested(path), "test")) and texts(ingested(path, max_train=30), "valid") == texts(
        corpus, "valid"
    )
    assert len(ingested(path, max_train=30, max_unlabelled=20).split("unlabelled")) == 20
    assert len(ingested(path, max_train=30, max_unlabelled=0).split("unlabelled")) == 0
    assert len(ingested(path, labelled=False, max_train=30).split("unlabelled")) == 0


def test_max_samples_of_a_corpus_are_nested(tmp_path):
    path = write(tmp_path / "a.csv", RECORDS)
    for split, option in (("train", "max_train"), ("test", "max_test")):
        samples = [set(texts(ingested(path, **{option: count}), split)) for count in (5, 17, 50)]
        assert samples[0] < samples[1] < samples[2] and [len(sample) for sample in samples] == [5, 17, 50]


def test_a_sample_smaller_than_the_classes(tmp_path):
    fails(write(tmp_path / "a.csv", RECORDS), "a sample of 2 documents is fewer than the 3 classes", max_train=2)


# --- what is wrong with a corpus


def test_one_class_only(tmp_path):
    fails(write(tmp_path / "a.csv", [(f"text {i}", "spam") for i in range(9)]), r"a\.csv: column 'label' holds one class only \('spam'\)")


def test_labels_that_are_null_are_set_aside(tmp_path):
    path = write(tmp_path / "a.jsonl", [*RECORDS[:20], ("no label here", None)])
    corpus = ingested(path)
    assert corpus.quarantine == [("a.jsonl", 21, "no label", "no label here")]
    fails(
        write(tmp_path / "b.parquet", [*RECORDS[:4], *[(f"t{i}", None) for i in range(6)]]),
        r"b\.parquet: 6 of 10 rows cannot be used \(6 no label\)",
    )


def in_lists(path, records):
    """Records whose labels are lists, as JSON or Parquet has them."""
    table = pa.table({"text": [text for text, _ in records], "label": [labels for _, labels in records]})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


LISTS = [(f"document {i}", [["b", "a"], ["c"], [], ["a"]][i % 4]) for i in range(80)]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_are_the_labels_of_documents_that_may_have_several(tmp_path, kind):
    """As if they were joined in a csv; a list with an empty label is set aside, and one that is null."""
    records = [*LISTS, ("null", None), ("empty", ["a", ""]), ("null in it", ["a", None]), ("piped", ["a|b"])]
    corpus = ingested(in_lists(tmp_path / f"a.{kind}", records), source={"label_separator": "|"})
    assert corpus.record.labels == ("a", "a|b", "c", "|") and corpus.record.label_names == ("a", "b", "c")
    assert corpus.record.quarantined == {
        "no label": 1,
        "label is a list with a label that is empty": 2,
        "label is a list with a label with the separator": 1,
    }
    joined = write(tmp_path / "b.csv", [(text, "|".join(sorted(labels)) or "|") for text, labels in LISTS])
    assert corpus.digest == ingested(joined, source={"label_separator": "|"}).digest
    other = ingested(in_lists(tmp_path / f"a.{kind}", LISTS), source={"label_separator": ";"})
    assert other.record.labels == (";", "a", "a;b", "c")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_are_no_single_labels(tmp_path, kind):
    path = in_lists(tmp_path / f"a.{kind}", LISTS)
    fails(path, r"80 of 80 rows cannot be used \(80 label is a list: classifier\.task=multi-label takes lists\), the first is row 1")


@pytest.mark.parametrize("strange", [{"a": 1}, b"a", date(2024, 1, 1)])
def test_labels_that_are_no_scalars_are_set_aside(tmp_path, strange):
    pq.write_table(pa.table({"text": ["one", "two"], "label": [strange, strange]}), tmp_path / "a.parquet")
    fails(tmp_path / "a.parquet", rf"2 label of type {type(strange).__name__}, not a string or number")
    if isinstance(strange, dict):
        (tmp_path / "a.jsonl").write_text(json.dumps({"text": "one", "label": strange}) + "\n")
        fails(tmp_path / "a.jsonl", "1 label of type dict, not a string or number")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_class_of_one_row(tmp_path, kind):
    fails(write(tmp_path / f"a.{kind}", [*RECORDS, ("alone", "rare")]), "class 'rare' has 1 training row: merge it")
    fails(
        write(tmp_path / f"b.{kind}", [*RECORDS, ("alone", "rare"), ("too", "scarce")]),
        r"'rare' has 1 training row \(so have 1 other classes\)",
    )


def test_a_class_of_two_rows_is_enough(tmp_path):
    corpus = ingested(write(tmp_path / "a.csv", [*RECORDS, ("one", "rare"), ("two", "rare")]))
    assert corpus.labels("train")["rare"] == 2


def test_nothing_to_test_on(tmp_path):
    two_each = write(tmp_path / "a.csv", RECORDS[:6])
    fails(two_each, r"a\.csv: there are no rows to test on; give them with --test")
    fails(write(tmp_path / "b.csv", RECORDS), "there are no rows to test on", test_share=0)
    assert len(ingested(two_each, source={"test": str(write(tmp_path / "t.csv", RECORDS[6:12]))}).split("test")) == 6


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
    fails(tmp_path / "set", "there is no labelled training row$")


def test_test_rows_that_are_the_training_rows(tmp_path):
    records = [(f"text {i}", "ab"[i % 2]) for i in range(20)]
    train = str(write(tmp_path / "train.csv", records))
    copy = str(write(tmp_path / "copy.csv", records[::-1]))
    with pytest.raises(UserError, match=r"no labelled training row \(20 documents that stand in two splits"):
        ingest(CorpusSource(train, test=copy), tmp_path / "corpus")
    of_b = str(write(tmp_path / "b.csv", [record for record in records if record[1] == "b"]))
    with pytest.raises(UserError, match=r"one class only \('a'\).*\(10 documents that stand in two splits"):
        ingest(CorpusSource(train, test=of_b), tmp_path / "other")


@pytest.mark.parametrize("separator", [None, "|"])
def test_a_label_without_a_usable_row_is_told(tmp_path, separator):
    records = [(f"text {i}", "ab"[i % 2]) for i in range(20)]
    path = write(tmp_path / "a.jsonl", [*records, ("", "c"), (None, "d"), ("  ", "a"), ("", "\ud800"), ("", None)])
    corpus = ingest(CorpusSource(str(path), label_separator=separator), tmp_path / "corpus")
    assert corpus.record.warnings[-1] == (
        "label 'c' has no row that can be used (and so have 1 other labels): it becomes no class; correct its rows, if it is one"
    )


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "b.txt"])
def test_a_header_or_nothing(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"") if name == "b.txt" else write(path, [])
    fails(path, rf"{name}: there are no documents in it", labelled=False)
    for field in ("source", "test", "unlabelled", "more"):  # told before anything starts
        named = {"source": str(write(tmp_path / "full.csv", RECORDS)), field: (str(path),) if field == "more" else str(path)}
        with pytest.raises(UserError, match=rf"{name}: there are no documents in it"):
            peek(CorpusSource(**named, label_column=None))


def test_a_missing_file_is_told_by_both(tmp_path):
    fails(tmp_path / "gone.csv", r"gone\.csv: there is no such file")
    with pytest.raises(UserError, match="there is no such file"):
        fingerprint(CorpusSource(str(tmp_path / "gone.csv")), tmp_path)
    for field in ("test", "unlabelled", "more"):
        there, gone = str(write(tmp_path / "there.csv", RECORDS)), str(tmp_path / "gone.csv")
        with pytest.raises(UserError, match=r"gone\.csv: there is no such file"):
            peek(CorpusSource(there, **{field: (gone,) if field == "more" else gone}))


# --- what is written


SMALL = PartsConfig(bytes=1000, together_bytes=1)


def test_a_corpus_is_written_as_its_record_says(tmp_path):
    path = write(tmp_path / "a.csv", [*RECORDS, ("", "a"), RECORDS[0], ("nul\0 here", "b")])
    corpus = ingested(path, parts=SMALL)
    record = corpus.record
    written = json.loads((corpus.folder / "corpus.json").read_text())
    added = {"source": str(path), "more": [], "settings": CorpusConfig().model_dump(), "quality": record.quality.model_dump(mode="json")}
    assert record.model_dump(mode="json") == written | added and CorpusRecord.model_validate(record.model_dump(mode="json")) == record
    assert record.name == "a.csv" and record.labels == ("a", "b", "c")
    assert record.quarantined == {"empty": 1} and record.duplicates == 1 and len(record.warnings) == 3
    names = [part.name for part in record.parts]
    assert names == [f"part-{number:05d}" for number in range(len(names))] and len(names) > 4
    files = {f"{name}.parquet" for name in names} | {"corpus.json", "quality.json", "quarantine/part-00000.parquet"}
    assert set(filesystem.files(corpus.folder)) == files
    for part in record.parts:
        rows = pq.read_table(corpus.folder / f"{part.name}.parquet").to_pylist()
        sizes = {"documents": len(rows), "rows": len(rows), "characters": sum(len(row["text"]) for row in rows)}
        assert {name: getattr(part, name) for name in sizes} == sizes and len({row["split"] for row in rows}) > 1
    assert [int(row["id"].split(":")[1]) for row in corpus.rows] == [*range(1, 301), 303]  # in the order of the source
    for split, entry in record.splits.items():
        assert entry.documents == len(corpus.split(split)) and entry.characters == sum(map(len, texts(corpus, split)))
        assert entry.labels == dict(sorted(corpus.labels(split).items()))
    assert corpus.quarantine == [("a.csv", 301, "empty", "")]


def test_columns_keep_their_types_where_all_is_null(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    corpus = ingested(tmp_path / "a.txt", labelled=False)
    schema = pq.read_schema(corpus.folder / "part-00000.parquet")
    types = dict.fromkeys(("id", "text", "label", "split"), "string") | {"piece": "int32"}
    assert {name: str(schema.field(name).type) for name in schema.names} == types
    assert not (corpus.folder / "quarantine").exists()


def test_a_very_long_document_is_written_in_pieces(tmp_path):
    long = " ".join(["lorem ipsum dolor sitting amended"] * 140_000)
    records = [("first", "a"), (long, "b"), ("last", "b"), ("again", "a")]
    corpus = ingested(write(tmp_path / "a.jsonl", records), source={"test": str(write(tmp_path / "t.csv", [("t", "a"), ("u", "b")]))})
    part = corpus.record.parts[1]
    assert (part.documents, part.rows, part.characters) == (1, 3, len(long)) and len(long) > 2 * LONGEST_PIECE
    rows = [row for row in corpus.rows if row["id"] == "a.jsonl:2"]
    assert "".join(row["text"] for row in rows) == long and [row["piece"] for row in rows] == [0, 1, 2]
    assert {(row["label"], row["split"]) for row in rows} == {("b", "train")}
    assert pq.ParquetFile(corpus.folder / "part-00001.parquet").num_row_groups == 3
    assert sum(held.documents for held in corpus.record.splits.values()) == 6


def test_a_part_without_documents_is_not_written(tmp_path):
    write(tmp_path / "set" / "test.csv", RECORDS[:30])
    write(tmp_path / "set" / "train.csv", RECORDS[30:60])
    write(tmp_path / "set" / "unsup.csv", RECORDS[:60])
    write(tmp_path / "set" / "unsup2.csv", [("more", "")])
    corpus = ingested(tmp_path / "set", parts=SMALL)
    assert corpus.sizes()["unlabelled"] == 0 and corpus.record.overlap_removed == 60
    (tmp_path / "set" / "unsup2.csv").rename(tmp_path / "set" / "unsup_2.csv")
    corpus = ingested(tmp_path / "set", parts=SMALL)
    assert texts(corpus, "unlabelled") == ["more"]
    assert [part.documents for part in corpus.record.parts] == [30, 30, 1]


def test_the_digest_does_not_go_by_the_parts(tmp_path):
    path = write(tmp_path / "a.csv", RECORDS)
    whole = ingested(path)
    small = PartsConfig(bytes=500)
    assert ingested(path, parts=small).digest == whole.digest
    write(tmp_path / "set" / "1.csv", RECORDS[:100])
    write(tmp_path / "set" / "2.jsonl", RECORDS[100:])
    assert ingested(tmp_path / "set", parts=small).digest == whole.digest


def test_parts_of_the_same_texts_are_known_again(tmp_path):
    root = tmp_path / "set"
    write(root / "train-1.csv", RECORDS[:150])
    before = {part.texts for part in ingested(root, parts=SMALL).record.parts}
    write(root / "train-2.csv", RECORDS[150:])
    after = [part.texts for part in ingested(root, parts=SMALL, seed=1).record.parts]
    assert len(before) > 2 and before < set(after) and len(set(after)) == len(after)
    write(root / "train-1.csv", [(RECORDS[0][0].upper(), "a"), *RECORDS[1:150]])
    assert len(before - {part.texts for part in ingested(root, parts=SMALL).record.parts}) == 1


def test_more_is_read_as_one_corpus(tmp_path):
    whole = ingested(write(tmp_path / "a.csv", RECORDS))
    first, second = write(tmp_path / "b.csv", RECORDS[:120]), write(tmp_path / "c" / "c.parquet", RECORDS[120:])
    corpus = ingested(first, source={"more": (str(second.parent),)})
    assert corpus.digest == whole.digest and corpus.record.name == "b.csv"
    assert corpus.rows[0]["id"] == "b.csv:1" and corpus.rows[-1]["id"] == "more-1/c.parquet:180"
    write(tmp_path / "c" / "test.csv", RECORDS[:30])
    fails(first, r"c has test rows of its own \(more-1/test\.csv\)", source={"more": (str(second.parent),), "test": str(second)})


def test_quality_is_written_and_judged(tmp_path):
    write(tmp_path / "set" / "train.csv", [*RECORDS[:60], *RECORDS[:20], ("", "a")])
    write(tmp_path / "set" / "test.csv", [(RECORDS[0][0].upper(), "a"), *RECORDS[200:209]])
    corpus = ingested(tmp_path / "set")
    quality = json.loads((corpus.folder / "quality.json").read_text())
    assert quality["found"]["duplicates"] == {"documents": 20, "of": 90, "share": 0.222222}
    assert quality["overlap"]["train/test"] == {"documents": 1, "of": 10, "share": 0.1} and quality["quarantined"] == {"empty": 1}
    assert sum(quality["splits"]["test"]["lengths"]) == 10 and quality["splits"]["test"]["documents"] == 10
    assert any("quality.warn_duplicate_share" in warning for warning in corpus.record.warnings)
    fails(tmp_path / "set", "--set quality.max_duplicate_share=", quality={"max_duplicate_share": 0.1})


# --- killed, and started again


def prepared(source, scans, mapper=serial, parts=SMALL, **config):
    reading = Reading(CorpusSource(str(source)), True, Path("unused"), parts)
    return prepare(reading, CorpusConfig(**config), QualityConfig(), str(scans), mapper)


def killed_after(count):
    """A for-loop that ends after so many specs, as where the driver is killed."""

    def mapper(work):
        nonlocal count
        done = []
        for spec in work.specs:
            if not count:
                raise KeyboardInterrupt
            count -= 1
            done.append(work.function(spec))
        return done

    return mapper


def counted(done):
    """A for-loop that notes what it did anew: the label of each spec whose record was not there."""

    def mapper(work):
        records = []
        for spec in work.specs:
            place = Path(spec.folder, f"{spec.name}.json") if work.name == "scan" else Path(spec.records, f"{spec.part}.json")
            before = place.stat().st_mtime_ns if place.exists() else None
            records.append(work.function(spec))
            if place.stat().st_mtime_ns != before:
                done.append((work.name, work.label(spec)))
        return records

    return mapper


def a_set(root):
    for number in range(6):
        write(root / f"{number}.csv", RECORDS[50 * number : 50 * number + 50])
    return root


def test_what_was_done_before_a_kill_is_not_done_again(tmp_path):
    root, scans, folder = a_set(tmp_path / "set"), tmp_path / "scans", tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepared(root, scans, killed_after(4))
    done = []
    ready = prepared(root, scans, counted(done))
    assert [label for _, label in done] == [str(root / f"{number}.csv") for number in (4, 5)]
    with pytest.raises(KeyboardInterrupt):
        write_corpus(ready, str(folder), killed_after(5))
    (folder / "part-00003.parquet").write_bytes(b"damaged")
    done = []
    record, files = write_corpus(prepared(root, scans, counted(done)), str(folder), counted(done))
    names = [part.name for part in record.parts]
    assert done == [("assemble", name) for name in names if name == "part-00003" or name > "part-00004"]
    assert read_back(folder, record).rows == ingested(root, parts=SMALL).rows
    assert files == {
        f"{name}.parquet": StoredFile(filesystem.sha256(folder / f"{name}.parquet"), (folder / f"{name}.parquet").stat().st_size)
        for name in names
    }


def test_slices_of_other_limits_are_not_taken_for_these(tmp_path):
    root, scans = a_set(tmp_path / "set"), tmp_path / "scans"
    with pytest.raises(KeyboardInterrupt):
        prepared(root, scans, killed_after(2))
    whole = PartsConfig()
    record, _ = write_corpus(prepared(root, scans, parts=whole), str(tmp_path / "out"), serial)
    assert read_back(tmp_path / "out", record).rows == ingested(root, parts=whole).rows


def test_other_decisions_write_other_parts(tmp_path):
    root, scans, folder = a_set(tmp_path / "set"), tmp_path / "scans", tmp_path / "out"
    write_corpus(prepared(root, scans), str(folder), serial)
    record, _ = write_corpus(prepared(root, scans, seed=1), str(folder), serial)
    assert read_back(folder, record).rows == ingested(root, parts=SMALL, seed=1).rows


def test_what_another_division_left_is_cleared(tmp_path):
    folder = tmp_path / "out"
    records = [*RECORDS, ("", "a")]
    write_corpus(prepared(write(tmp_path / "a.csv", records), tmp_path / "one", parts=PartsConfig(bytes=500)), str(folder), serial)
    record, _ = write_corpus(prepared(write(tmp_path / "b.csv", RECORDS), tmp_path / "two", parts=PartsConfig()), str(folder), serial)
    assert set(filesystem.files(folder)) == {"part-00000.parquet", "corpus.json", "quality.json"}
    assert len(read_back(folder, record).rows) == 300


def test_the_work_goes_through_the_mapper(tmp_path):
    calls = []

    def mapper(work):
        calls.append((work.name, [work.label(spec) for spec in work.specs]))
        return serial(work)

    root = a_set(tmp_path / "set")
    record = ingest(CorpusSource(str(root)), tmp_path / "out", parts=SMALL, mapper=mapper).record
    assert [name for name, _ in calls] == ["scan", "assemble"]
    assert calls[0][1] == [str(root / f"{number}.csv") for number in range(6)]
    assert calls[1][1] == [part.name for part in record.parts]
