"""Slices of a source, and their scan into raw parts, facts and quarantine."""

import json
import random
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpora.test_rows import write
from ulmfit.config import PartsConfig
from ulmfit.corpora.catalog.entries import DATA
from ulmfit.corpora.ingest import quarantine, slices
from ulmfit.corpora.ingest.facts import read_facts
from ulmfit.corpora.ingest.scan import ScanSpec, scan_slice
from ulmfit.corpora.ingest.slices import slice_rows
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.reading import formats
from ulmfit.corpora.reading.rows import read_rows
from ulmfit.corpora.source import CorpusSource, Reading
from ulmfit.corpora.splits import SPLITS
from ulmfit.corpora.text_digests import exact, fold
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.text.cutting import LONGEST_PIECE

PARTS = PartsConfig()
RECORDS = [(f"Document {i}, of class {'abc'[i % 3]}", "abc"[i % 3]) for i in range(300)]


@pytest.fixture
def measured(monkeypatch):
    """The texts that were given to ``measuring.measure``, part by part; guessing languages is for other tests."""
    calls = []
    monkeypatch.setattr(measuring, "measure", lambda texts: calls.append(list(texts)) or Measurements(len(texts)))
    return calls


def sliced(source, labelled=True, limits=PARTS, **options):
    return slices.slices(Reading(CorpusSource(str(source), **options), labelled, Path("unused"), limits))


def rows_of(parts):
    return [row for part in parts for row in slice_rows(part)]


def scanned(tmp_path, source, labelled=True, **limits):
    """The records of all slices, scanned into ``tmp_path / "scans"``."""
    limits = PartsConfig(**limits)
    parts = sliced(source, labelled, limits)
    return [scan_slice(ScanSpec(part, number, str(tmp_path / "scans"), labelled, limits)) for number, part in enumerate(parts)]


def raw(tmp_path, record):
    return [pq.read_table(tmp_path / "scans" / part.file) for part in record.parts]


# --- slices


def a_folder(root):
    for folder in ("train", "test"):
        for number in range(4):
            write(root / folder / f"{number}.csv", [(f"{folder} {number} {i}", "ab"[i % 2]) for i in range(20)])
    write(root / "train" / "z.parquet", [(f"z {i}", "b") for i in range(100)])
    (root / "unsup").mkdir()
    for number in range(5):
        (root / "unsup" / f"{number}.txt").write_text(f"free {number}")
    return root


@pytest.mark.parametrize("together", [1, 40_000, 8 << 20])
def test_the_slices_of_a_folder_give_its_rows_in_order(tmp_path, together):
    root = a_folder(tmp_path / "set")
    parts = sliced(root, limits=PartsConfig(together_bytes=together))
    assert rows_of(parts) == list(read_rows(root))
    assert len(parts) == {1: 14, 40_000: 8, 8 << 20: 3}[together]
    assert all(len({Path(file).parent for file in part.files}) == 1 for part in parts)


def test_new_files_leave_the_slices_before_them(tmp_path):
    limits = PartsConfig(together_bytes=60_000)
    before = sliced(a_folder(tmp_path / "set"), limits=limits)
    write(tmp_path / "set" / "train" / "zz.csv")
    after = sliced(tmp_path / "set", limits=limits)
    changed = [part for part in before if part not in after]
    assert len(before) > 5 and [Path(part.files[-1]).name for part in changed] == ["z.parquet"]  # the last of its folder


def row_groups(path, records, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"label": [label for _, label in records], "text": [text for text, _ in records]})
    pq.write_table(table, path, row_group_size=size, use_dictionary=False)
    return path


@pytest.mark.parametrize("name", ["a.parquet", "set/test/a.parquet", "set/unsup.parquet"])
def test_a_large_parquet_file_is_divided_by_row_groups(tmp_path, monkeypatch, name):
    path = row_groups(tmp_path / name, RECORDS, 50)
    root = tmp_path / name.split("/")[0]
    expected = list(read_rows(root))
    monkeypatch.setattr(formats, "BATCH_BYTES", 300)
    parts = sliced(root, limits=PartsConfig(slice_bytes=3500))
    assert [part.groups for part in parts] == [(0, 2), (2, 4), (4, 6)] and [part.before for part in parts] == [0, 100, 200]
    assert rows_of(parts) == expected and len(expected) == 300
    assert rows_of(parts)[250].row == 251  # counted in the file
    assert filesystem.size(path) * slices.PACKING > 3500


def test_a_row_group_that_is_too_large_is_a_slice_of_its_own(tmp_path):
    parts = sliced(row_groups(tmp_path / "a.parquet", RECORDS, 100), limits=PartsConfig(slice_bytes=10))
    assert [part.groups for part in parts] == [(0, 1), (1, 2), (2, 3)] and len(rows_of(parts)) == 300


def test_row_groups_are_asked_for_their_columns(tmp_path):
    limits = PartsConfig(slice_bytes=10)
    path = row_groups(tmp_path / "a.parquet", RECORDS, 100)
    for options in ({"text_column": "body"}, {"label_column": "tag"}, {"label_column": "text"}):
        with pytest.raises(UserError, match="column"):
            sliced(path, limits=limits, **options)
    assert [row.label for row in rows_of(sliced(path, labelled=False, limits=limits))] == [None] * 300
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"a\.parquet: this is not a readable Parquet file"):
        sliced(path, limits=limits)


def test_roles_name_and_split_their_rows(tmp_path):
    main, more = write(tmp_path / "main.csv"), write(tmp_path / "train" / "more.csv")
    test, free = write(tmp_path / "train-x.csv"), write(tmp_path / "free.jsonl")
    parts = sliced(main, more=(str(more), str(more.parent)), test=str(test), unlabelled=str(free))
    rows = rows_of(parts)[:: len(list(read_rows(main)))]
    assert [(row.source, row.row, row.split, row.label is not None) for row in rows] == [
        ("main.csv", 1, None, True),
        ("more-1/more.csv", 1, None, True),
        ("more-2/more.csv", 1, None, True),
        ("test/train-x.csv", 1, "test", True),
        ("unlabelled/free.jsonl", 1, "unlabelled", False),
    ]
    assert [part.role for part in parts] == ["main", "main", "main", "test", "unlabelled"]


def test_known_corpora_are_read_in_their_own_way(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA, str(tmp_path))
    write(tmp_path / "ag_news" / "train.csv", RECORDS)
    write(tmp_path / "ag_news" / "test.jsonl", RECORDS[:9])
    (tmp_path / "wikitext-2-raw").mkdir()
    (tmp_path / "wikitext-2-raw" / "wiki.train.raw").write_text(" \n = One = \n \n text \n")
    limits = PartsConfig(together_bytes=1)
    tables = sliced("ag-news", limits=limits, text_column="body", label_column="no", unlabelled="wikitext-2")
    assert [part.files and Path(part.files[0]).name for part in tables] == ["test.jsonl", "train.csv", ()]
    rows = rows_of(tables)
    assert len(rows) == 310 and [row.split for row in rows] == ["test"] * 9 + ["train"] * 300 + ["unlabelled"]
    assert rows[-1].text == "= One = \n \n text" and rows[-1].source == "unlabelled/wiki.train.raw"
    with pytest.raises(UserError, match="wikitext-2 is general text without labels"):
        sliced("ag-news", more=("wikitext-2",))
    assert len(sliced("wikitext-2", labelled=False)) == 1


# --- the scan of a slice


def test_raw_parts_hold_what_can_be_used_in_order(tmp_path, measured):
    records = [*RECORDS[:100], ("", "a"), ("nul\0 hére", "b"), ("no label", ""), *RECORDS[100:]]
    (record,) = scanned(tmp_path, write(tmp_path / "a.csv", records), bytes=1000)
    parts = raw(tmp_path, record)
    assert record.rows == 303 and record.with_nul == 1 and record.quarantined == {"empty": 1, "no label": 1}
    assert record.first_rejected == "row 101 of a.csv"
    rows = [row for table in parts for row in table.to_pylist()]
    kept = [(f"a.csv:{number}", text.replace("\0", ""), label, 0) for number, (text, label) in enumerate(records, 1) if text and label]
    assert [tuple(row.values()) for row in rows] == kept
    sizes = [sum(len(text.encode()) for text in table["text"].to_pylist()) for table in parts]
    assert max(sizes) <= 1000 and all(size + 30 > 1000 for size in sizes[:-1])
    assert [part.documents for part in record.parts] == [len(table) for table in parts] == [len(texts) for texts in measured]
    assert measured == [table["text"].to_pylist() for table in parts]
    assert sorted(filesystem.files(tmp_path / "scans")) == sorted([*record.files, "00000.json"])


def test_parts_have_no_more_than_so_many_documents(tmp_path, measured):
    (record,) = scanned(tmp_path, write(tmp_path / "a.csv", RECORDS), documents=128)
    assert [part.documents for part in record.parts] == [128, 128, 44]


def test_facts_are_those_of_the_documents(tmp_path, measured):
    for name in ("train", "test"):
        write(tmp_path / "set" / f"{name}.csv", [(f"{name} É {text}", label) for text, label in RECORDS])
    write(tmp_path / "set" / "unsup.csv", RECORDS)
    records = scanned(tmp_path, tmp_path / "set", bytes=2000)
    parts = [part for record in records for part in record.parts]
    facts = read_facts([str(tmp_path / "scans" / part.facts) for part in parts], sum(part.documents for part in parts))
    rows = [row for record in records for table in raw(tmp_path, record) for row in table.to_pylist()]
    assert len(parts) > 3 and len(facts) == len(rows) == 900 and facts.labels == ["a", "b", "c"]
    assert facts.exact.tobytes() == b"".join(exact(row["text"]) for row in rows)
    assert facts.fold.tobytes() == b"".join(fold(row["text"]) for row in rows)
    assert [facts.labels[code] if code >= 0 else None for code in facts.label] == [row["label"] for row in rows]
    assert [SPLITS[code] for code in facts.split] == ["test"] * 300 + ["train"] * 300 + ["unlabelled"] * 300
    assert facts.characters.tolist() == [len(row["text"]) for row in rows]


def test_general_text_has_no_labels(tmp_path, measured):
    (record,) = scanned(tmp_path, write(tmp_path / "a.csv", [*RECORDS, ("more", "")]), labelled=False)
    (table,) = raw(tmp_path, record)
    assert table["label"].null_count == len(table) == 301 and not record.quarantined
    assert record.quarantine is None and not list((tmp_path / "scans").glob("*quarantine*"))


def test_the_quarantine_is_written_as_it_grows(tmp_path, monkeypatch, measured):
    monkeypatch.setattr(quarantine, "QUARANTINE_ROWS", 4)
    lines = ["{}", "[1]", "nonsense", '{"text": 5, "label": "a"}', '{"text": "fine", "label": "a"}', *['{"text": " ", "label": "a"}'] * 7]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (record,) = scanned(tmp_path, tmp_path / "a.jsonl")
    file = pq.ParquetFile(tmp_path / "scans" / record.quarantine)
    assert file.num_row_groups == 3
    assert [tuple(row.values()) for row in file.read().to_pylist()][:5] == [
        ("a.jsonl", 1, "no text", ""),
        ("a.jsonl", 2, "not a JSON object", "[1]\n"),
        ("a.jsonl", 3, "not JSON", "nonsense\n"),
        ("a.jsonl", 4, "text is not a string", "5"),
        ("a.jsonl", 6, "empty", " "),
    ]
    assert record.quarantined == {"no text": 1, "not a JSON object": 1, "not JSON": 1, "text is not a string": 1, "empty": 7}


# --- very long documents


WORDS = ["lorem", "ipsum", "dolor", "sitting", "amended", "consectetur", "adipiscing"]


def long_text(characters):
    return " ".join(random.Random(5).choices(WORDS, k=characters // 6))[:characters]


def test_a_very_long_document_has_a_part_of_its_own(tmp_path, measured):
    text = "É " + long_text(4_500_000)
    (record,) = scanned(tmp_path, write(tmp_path / "a.jsonl", [("before", "a"), (text, "b"), ("after", "a")]))
    parts = raw(tmp_path, record)
    assert [part.documents for part in record.parts] == [1, 1, 1] and [len(table) for table in parts] == [1, 3, 1]
    rows = parts[1].to_pylist()
    assert "".join(row["text"] for row in rows) == text and [row["piece"] for row in rows] == [0, 1, 2]
    assert {(row["id"], row["label"]) for row in rows} == {("a.jsonl:2", "b")}
    assert pq.ParquetFile(tmp_path / "scans" / record.parts[1].file).num_row_groups == 3
    facts = read_facts([str(tmp_path / "scans" / record.parts[1].facts)], 1)
    assert (facts.exact.tobytes(), facts.fold.tobytes(), facts.characters[0]) == (exact(text), fold(text), len(text))
    assert [len(texts[0]) for texts in measured] == [6, LONGEST_PIECE, 5]


MEMORY = """
import sys
from pathlib import Path
from ulmfit.config import PartsConfig
from ulmfit.corpora.ingest import scan
from ulmfit.corpora.ingest import slices
from ulmfit.corpora.reading import formats
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.source import CorpusSource, Reading
measuring.measure = lambda texts: measuring.Measurements()
limits = PartsConfig(bytes=1 << 20)
formats.BATCH_BYTES = 1 << 18
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
def scanned(path, number):
    for part in slices.slices(Reading(CorpusSource(path, label_column=None), False, Path("unused"))):
        scan.scan_slice(scan.ScanSpec(part, number, sys.argv[3], False, limits))
scanned(sys.argv[1], 0)
before = peak()
scanned(sys.argv[2], 1)
print(peak() - before)
"""


def test_memory_goes_by_the_part_not_by_the_file(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc, which this system has not")
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, rng.integers(0, 10**6, 1000))) for _ in range(1000)]  # 6.9 MB
    row_groups(tmp_path / "small.parquet", [(text, None) for text in texts], 200)
    row_groups(tmp_path / "large.parquet", [(text, None) for text in texts * 6], 6000)  # one row group
    arguments = [str(tmp_path / name) for name in ("small.parquet", "large.parquet", "scans")]
    done = subprocess.run([sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 55_000  # KB: the text is 41 MB, and would be there as Arrow and as strings


# --- once more


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_slice_that_is_done_is_not_read_again(tmp_path, measured):
    path = write(tmp_path / "a.csv", [*RECORDS, ("", "a")])
    spec = ScanSpec(sliced(path)[0], 3, str(tmp_path / "scans"), True, PARTS)
    record = scan_slice(spec)
    before = stamps(tmp_path / "scans")
    path.unlink()
    assert scan_slice(spec) == record and stamps(tmp_path / "scans") == before
    assert all(name.startswith("00003") for name in before)


@pytest.mark.parametrize("victim", ["00000-00000.parquet", "00000-00000.facts.arrow", "00000.quarantine.parquet", "00000.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_damaged_slice_is_scanned_again(tmp_path, measured, victim, damage):
    path = write(tmp_path / "a.csv", [*RECORDS, ("", "a")])
    (record,) = scanned(tmp_path, path)
    file = tmp_path / "scans" / victim
    content = file.read_bytes()
    changed = {"gone": None, "cut": content[:-5], "changed": content[:50] + b"#" + content[51:]}[damage]
    file.unlink() if changed is None else file.write_bytes(changed)
    (again,) = scanned(tmp_path, path)
    assert again.files == record.files and again.parts == record.parts
    if victim != "00000.json":
        assert file.read_bytes() == content


def test_a_slice_that_fails_leaves_no_record(tmp_path, monkeypatch, measured):
    monkeypatch.setattr(quarantine, "QUARANTINE_ROWS", 1)
    path = write(tmp_path / "a.csv", [*RECORDS[:50], ("", "a")])
    path.write_text(path.read_text() + '"never closed,a\n')
    with pytest.raises(UserError, match="a quote opened in row 52"):
        scanned(tmp_path, path, bytes=100)
    left = {item.name for item in (tmp_path / "scans").iterdir()}
    assert left and not [name for name in left if "json" in name or "tmp" in name or "quarantine" in name]
    write(path, RECORDS[:50])
    (record,) = scanned(tmp_path, path, bytes=100)
    assert record.rows == 50


def test_records_are_plain_and_small(tmp_path, measured):
    (record,) = scanned(tmp_path, write(tmp_path / "a.csv", RECORDS))
    body = json.loads((tmp_path / "scans" / "00000.json").read_text())
    assert body["parts"] == [{"name": "00000-00000", "documents": 300, "measured": asdict(Measurements(300))}]
    assert asdict(record)["files"] == body["files"] and "Document" not in json.dumps(body)
