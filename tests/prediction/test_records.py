"""Records to predict: none is left out, and what holds no text has the reason in its place."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.errors import UserError
from ulmfit.prediction.records import Records, records_of_files, records_of_lines, records_of_texts


def brief(records: Records) -> list[tuple[str, str]]:
    """(text, reason) of each."""
    return [(record.text, record.reason) for record in records.read()]


def of_file(path: Path, content: str | bytes, **options: str) -> Records:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return records_of_files(str(path), options.get("column", "text"), options.get("encoding", "utf-8"))


def test_a_csv_keeps_its_columns_order_and_rows(tmp_path: Path) -> None:
    records = of_file(tmp_path / "a.csv", 'id,text,label\n1,good,p\n2,"bad "q" x",n\n3,,n\n\n4,0,p\n5,a,b,c\n6,"two\nlines",p\n')
    assert brief(records) == [
        ("good", ""),
        ("", "broken quoting"),
        ("", "empty"),
        ("", "blank line"),
        ("0", ""),
        ("", "wrong number of fields"),
        ("two\nlines", ""),
    ]
    assert list(records.columns) == ["id", "text", "label"] and records.number == 7
    cells = [record.cells for record in records.read()]
    assert cells[0] == {"id": "1", "text": "good", "label": "p"} and cells[5] == {"text": "5,a,b,c"}
    assert [record.name for record in records.read()][1] == "row 2 of a.csv"


def test_a_tsv(tmp_path: Path) -> None:
    assert brief(of_file(tmp_path / "a.tsv", "id\ttext\n1\tgood\n2\t \n3\ta\tb\n")) == [
        ("good", ""),
        ("", "empty"),
        ("", "wrong number of fields"),
    ]


LINES: list[tuple[str, str, str]] = [  # of JSON, the text in it, the reason why there is none
    ('{"text": "good", "n": 1}', "good", ""),
    ('{"text": null}', "", "no text"),
    ('{"n": 2}', "", "no text"),
    ('{"text": 0}', "", "text is not a string"),
    ('{"text": false}', "", "text is not a string"),
    ('{"text": ["good"]}', "", "text is not a string"),
    ('{"text": {"en": "good"}}', "", "text is not a string"),
    ('{"text": ""}', "", "empty"),
    ('{"text": " \\u0000\\n"}', "", "empty"),
    ('{"text": "\\ud800"}', "", "broken Unicode"),
    ("good", "", "not JSON"),
    ('{"text": "go', "", "not JSON"),
    ("", "", "blank line"),
    ('["good"]', "", "not a JSON object"),
    ('{"n": 1, "n": 2, "text": "good"}', "", "two values of 'n'"),
    ('{"text": "a\\u0000b"}', "ab", ""),
]


def test_json_lines(tmp_path: Path) -> None:
    records = of_file(tmp_path / "a.jsonl", "".join(line + "\n" for line, _, _ in LINES))
    assert brief(records) == [(text, reason) for _, text, reason in LINES]
    assert records.number == len(LINES) and list(records.columns) == ["text", "n"]
    assert [record.cells for record in records.read()][10] == {"text": "good"}, "what was there instead of an object is seen"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([True, False], pa.bool_()),
        ([True, 1], pa.string()),
        ([2**63], pa.string()),
        (["a", None], pa.string()),
        ([{"a": 1}, [2]], pa.string()),
        ([None], pa.string()),
    ],
)
def test_the_type_of_a_json_column_is_that_of_its_values(tmp_path: Path, values: list[Any], kind: pa.DataType) -> None:
    records = of_file(tmp_path / "a.jsonl", "".join(json.dumps({"text": "x", "v": value}) + "\n" for value in values))
    assert records.columns["v"] == kind


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"text": ["good", None, ""], "day": pa.array([1, 2, 3], pa.date32()), "tags": [["a"], [], None]})
    pq.write_table(table, tmp_path / "a.parquet")
    records = records_of_files(str(tmp_path / "a.parquet"), "text", "utf-8")
    assert brief(records) == [("good", ""), ("", "no text"), ("", "empty")] and records.number == 3
    assert pa.schema(records.columns) == table.schema and [record.cells for record in records.read()] == table.to_pylist()


def test_numbers_in_parquet_are_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    assert brief(records_of_files(str(tmp_path / "a.parquet"), "text", "utf-8")) == [("", "text is not a string")] * 2


def test_every_line_of_a_text_file_is_a_record(tmp_path: Path) -> None:
    expected = [("one", ""), ("", "empty"), ("", "empty"), ("two", ""), ("", "empty")]
    assert brief(of_file(tmp_path / "a.txt", "one\r\n\n \ntwo\n\n")) == expected
    assert brief(records_of_lines(io.BytesIO(b"one\r\n\n \ntwo\n\n"), "standard input", "utf-8")) == expected


def test_texts() -> None:
    assert brief(records_of_texts(["one", "", "two"])) == [("one", ""), ("", "empty"), ("two", "")]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "latin-1", "utf-8"])
def test_lines_in_other_encodings(encoding: str) -> None:
    found = brief(records_of_lines(io.BytesIO("café\nnaïve\n".encode(encoding)), "standard input", encoding))
    assert found == [("café", ""), ("naïve", "")]


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"one\n\ncaf\xe9\n", "byte 0xe9 in row 3 is not utf-8; name the encoding, for example --encoding cp1252"),
        (b"\x93quoted\x94\n", "byte 0x93 in row 1 is not utf-8"),
        ("one\n".encode("utf-16"), "byte 0xff in row 1 is not utf-8; name the encoding, for example --encoding utf-16"),
    ],
)
def test_a_byte_that_is_not_in_the_encoding(stream: bytes, said: str) -> None:
    with pytest.raises(UserError, match=f"^standard input: {said}"):
        list(records_of_lines(io.BytesIO(stream), "standard input", "utf-8").read())


@pytest.mark.parametrize(
    ("stream", "encoding"), [(b"one\ntwo", "utf-32"), (b"one\ntwo", "utf-16"), (b"~\xff\n", "hz"), (b"\x1b$Babc\n", "iso2022_jp")]
)
def test_lines_in_another_encoding_than_one_with_states(stream: bytes, encoding: str) -> None:
    with pytest.raises(UserError, match=f"^standard input: the lines are not {encoding}"):
        list(records_of_lines(io.BytesIO(stream), "standard input", encoding).read())


def test_a_folder_of_tables_and_one_of_texts(tmp_path: Path) -> None:
    for folder in ("tables", "texts"):
        (tmp_path / folder).mkdir()
    of_file(tmp_path / "tables" / "a.csv", "text,n\none,1\n,2\n")
    of_file(tmp_path / "tables" / "b.jsonl", '{"text": "two", "n": 3}\n')
    tables = records_of_files(str(tmp_path / "tables"), "text", "utf-8")
    assert [dict(record.cells) for record in tables.read()] == [
        {"source": "a.csv", "text": "one", "n": "1"},
        {"source": "a.csv", "text": "", "n": "2"},
        {"source": "b.jsonl", "text": "two", "n": 3},
    ]
    assert tables.number == 3 and tables.columns["n"] == pa.string(), "text and numbers have text in common"
    for name, text in (("a.txt", "one\n\ndocument"), ("b.txt", "")):
        (tmp_path / "texts" / name).write_text(text)
    assert brief(records_of_files(str(tmp_path / "texts"), "text", "utf-8")) == [("one\n\ndocument", ""), ("", "empty")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"text\ncaf\xe9\n", "is not utf-8"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', "is not utf-8"),
        ("a.txt", b"caf\xe9\n", "is not utf-8"),
        ("a.csv", "id\n1\n", "there is no column 'text'; there are: 'id'"),
        ("a.jsonl", '{"id": 1}\n', "there is no column 'text'"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "id,text,id\n1,x,2\n", "2 columns have the name 'id'"),
        ("a.csv", 'text\n"x\n', "a quote opened in row 1"),
    ],
)
def test_what_makes_a_file_unusable_is_told_before_anything_is_predicted(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        of_file(tmp_path / name, content)
