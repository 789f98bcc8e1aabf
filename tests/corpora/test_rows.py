"""Rows out of files: every format, and every way a file can be wrong."""

import gzip
import json
import os
import re
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ulmfit.corpora.reading.formats import Columns
from ulmfit.corpora.reading.opening import CHUNK
from ulmfit.corpora.reading.rows import data_files, name_in, read_file, read_rows
from ulmfit.errors import UserError

RECORDS = [("a good film", "pos"), ('bad, "very" bad\nindeed', "neg"), ("\ttabbed café ✓", "pos")]


def quoted(value):
    return '"' + value.replace('"', '""') + '"'


def table(records, comma=",", columns=("text", "label")):
    return "".join(comma.join(map(quoted, record)) + "\n" for record in [columns, *records])


def write(path, records=RECORDS):
    """The records in the format that the path's suffixes name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffixes[0]
    if kind == ".parquet":
        pq.write_table(pa.table({"text": [text for text, _ in records], "label": [label for _, label in records]}), path)
        data = path.read_bytes()
    elif kind in (".jsonl", ".ndjson"):
        data = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in records).encode()
    else:
        data = table(records, "\t" if kind == ".tsv" else ",").encode()
    packers = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    path.write_bytes(packers.get(path.suffix, bytes)(data))
    return path


def brief(rows):
    return [(row.text, row.label) for row in rows]


def fails(path, match, *args, **options):
    with pytest.raises(UserError, match=match) as error:
        list(read_rows(path, *args, **options))
    assert "\n" not in str(error.value) and str(path) in str(error.value)


# --- formats


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, kind, packed):
    path = write(tmp_path / f"data.{kind}{packed}")
    rows = list(read_rows(path))
    assert brief(rows) == RECORDS
    assert [(row.source, row.row, row.split, row.reason) for row in rows] == [(path.name, number, None, "") for number in (1, 2, 3)]


def test_columns_are_chosen_by_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,stars,review\n1,5,fine\n2,1,poor\n")
    assert brief(read_rows(path, "review", "stars")) == [("fine", "5"), ("poor", "1")]
    assert brief(read_rows(path, "review", None)) == [("fine", None), ("poor", None)]


def test_text_lines_are_documents_without_their_line_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\n  \ntwo\nthree")
    assert [(row.row, row.text) for row in read_rows(tmp_path / "a.txt", label_column=None)] == [(1, "one"), (4, "two"), (5, "three")]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,label\nx,y\n".encode("utf-8-sig"))
    assert brief(read_rows(tmp_path / "a.csv")) == [("x", "y")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_other_encodings(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,pos\n".encode(encoding))
    assert brief(read_rows(tmp_path / "a.csv", encoding=encoding)) == [("café", "pos")]


def test_blank_lines_are_no_records(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n\na,b\n\n\n")
    (tmp_path / "a.jsonl").write_text('\n{"text": "a", "label": "b"}\n\n')
    assert brief(read_rows(tmp_path / "a.csv")) == brief(read_rows(tmp_path / "a.jsonl")) == [("a", "b")]


def test_a_document_of_20_megabytes(tmp_path):
    text = "long words " * (20_000_000 // 11)
    for kind in ("csv", "jsonl", "parquet"):
        rows = brief(read_rows(write(tmp_path / f"a.{kind}", [(text, "x")])))
        assert len(rows) == 1 and rows[0] == (text, "x")


def test_zstandard_of_several_frames(tmp_path):
    pack = zstandard.ZstdCompressor().compress
    (tmp_path / "a.csv.zst").write_bytes(pack(b"text,label\na,") + pack(b"b\n" + b"c,d\n" * 20_000) + pack(b"z,y\n"))
    rows = list(read_rows(tmp_path / "a.csv.zst"))
    assert brief([rows[0], rows[-1]]) == [("a", "b"), ("z", "y")] and len(rows) == 20_002


# --- folders


def test_a_folder_of_texts(tmp_path):
    for name in ("b.txt", "a.txt", ".hidden.txt", "_part.txt", "notes.md"):
        (tmp_path / name).write_text(f"text of {name}\nsecond line")
    rows = list(read_rows(tmp_path, label_column=None))
    assert [(row.source, row.text, row.label) for row in rows] == [
        (name, f"text of {name}\nsecond line", None) for name in ("a.txt", "b.txt")
    ]


def put(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_a_folder_a_label(tmp_path):
    put(tmp_path, {"neg/1.txt": "bad", "pos/1.txt": "good", "pos/2.txt": "fine"})
    assert [(row.text, row.label, row.split) for row in read_rows(tmp_path)] == [
        ("bad", "neg", None),
        ("good", "pos", None),
        ("fine", "pos", None),
    ]


@pytest.mark.parametrize("root", ["", "aclImdb/"])
def test_a_folder_a_label_below_folders_a_split(tmp_path, root):
    put(
        tmp_path,
        {
            f"{root}{name}": name
            for name in ("train/neg/1.txt", "train/pos/1.txt", "train/unsup/1.txt", "test/pos/1.txt", "valid/neg/1.txt")
        },
    )
    found = {row.text: (row.split, row.label) for row in read_rows(tmp_path)}
    assert found == {
        "train/neg/1.txt": ("train", "neg"),
        "train/pos/1.txt": ("train", "pos"),
        "train/unsup/1.txt": ("unlabelled", None),
        "test/pos/1.txt": ("test", "pos"),
        "valid/neg/1.txt": ("valid", "neg"),
    }


@pytest.mark.parametrize("root", ["", "data/", "v1/plain_text/"])
def test_file_names_tell_splits(tmp_path, root):
    names = {"train-00000-of-00002.csv": "train", "test.csv": "test", "dev.csv": "valid", "unsup_1.csv": "unlabelled", "more.csv": None}
    for name in names:
        write(tmp_path / f"{root}{name}", [(name, "x")])
    assert {row.text: row.split for row in read_rows(tmp_path)} == names


def test_folder_names_tell_splits(tmp_path):
    for name in ("train/a.csv", "test/train.csv"):
        write(tmp_path / name, [(name, "x")])
    assert {row.text: row.split for row in read_rows(tmp_path)} == {"train/a.csv": "train", "test/train.csv": "test"}


def test_unlabelled_files_need_no_label_column(tmp_path):
    write(tmp_path / "train.csv")
    (tmp_path / "unsup.csv").write_text("text\nhello\n")
    assert [(row.text, row.label) for row in read_rows(tmp_path) if row.split == "unlabelled"] == [("hello", None)]


NAMES = ["train-1.csv", "train/x.jsonl.gz", "train-1/a.parquet", "train.csv", "valid/pos/1.txt", "test.tsv.zst"]


def fill(root):
    for name in NAMES:
        if name.endswith(".txt"):
            put(root, {name: "a text"})
        else:
            write(root / name)


def test_the_files_of_a_folder_stand_in_the_order_of_their_paths(tmp_path):
    fill(tmp_path)
    put(tmp_path, {".hidden.csv": "", "_tmp/a.csv": "", "a/.b/c.csv": "", "notes.md": ""})
    expected = sorted(NAMES, key=lambda name: name.split("/"))
    assert expected != sorted(NAMES)
    for root in (tmp_path, str(tmp_path), f"{tmp_path}/"):
        files = data_files(root)
        assert [name_in(root, file) for file in files] == expected
        assert all(os.path.isfile(file) for file in files)


def test_a_folder_is_read_file_by_file(tmp_path):
    fill(tmp_path)
    rows = list(read_rows(tmp_path))
    assert [row for file in data_files(tmp_path) for row in read_file(tmp_path, file, Columns())] == rows
    assert {row.source for row in rows} == set(NAMES)
    path = tmp_path / "train.csv"
    assert data_files(path) == [str(path)] and list(read_file(path, str(path), Columns())) == list(read_rows(path))
    assert {row.source for row in read_rows(path)} == {"train.csv"} and {row.split for row in read_rows(path)} == {None}


# --- columns of one name


TWICE = {
    "csv": b"text,text,label\na,b,c\n",
    "tsv": b"label\ttext\tx\tlabel\na\tb\tc\td\n",
    "csv.gz": gzip.compress(b" text,text ,label\na,b,c\n"),
}


@pytest.mark.parametrize("kind", [*TWICE, "parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table([["a"], ["b"], ["c"]], names=["text", "text", "label"]), path)
    else:
        path.write_bytes(TWICE[kind])
    places = "1 and 4" if kind == "tsv" else "1 and 2"
    fails(path, rf"2 columns have the name '(text|label)' \(columns {places}\)")


def test_columns_of_one_name_that_are_not_read_do_no_harm(tmp_path):
    (tmp_path / "a.csv").write_text("text,note,note,label\na,1,2,b\n")
    assert brief(read_rows(tmp_path / "a.csv")) == [("a", "b")]


def test_two_values_of_one_name_in_a_json_object(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "a", "text": "b", "label": "c"}\n{"text": "a", "label": "c", "label": "c"}\n'
        '{"text": "a", "x": 1, "x": 2, "label": {"text": 1, "text": 2}}\n'
    )
    assert [row.reason for row in read_rows(tmp_path / "a.jsonl")] == ["two values of 'text'", "two values of 'label'", ""]


# --- what is wrong with a file


def test_a_missing_file(tmp_path):
    fails(tmp_path / "gone.csv", "there is no such file or folder")
    with pytest.raises(UserError, match="there is no such file"):
        data_files(tmp_path / "gone.csv")


def test_an_empty_folder(tmp_path):
    (tmp_path / "readme.md").write_text("nothing")
    fails(tmp_path, "holds no file of a known format")


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.gz"])
def test_an_unknown_format(tmp_path, name):
    (tmp_path / name).write_text("x")
    fails(tmp_path / name, r"there are \.csv")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("columns", "missing", "option"), [(("body", "label"), "body", "--text-column"), (("text", "stars"), "stars", "--label-column")]
)
def test_a_wrong_column_names_those_there_are(tmp_path, kind, columns, missing, option):
    fails(write(tmp_path / f"a.{kind}"), rf"no column '{missing}'; there are: 'text', 'label'.*{option}", *columns)


def test_one_column_for_both(tmp_path):
    fails(write(tmp_path / "a.parquet"), "'text' cannot be both the text and the label", "text", "text")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.csv.zst"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    fails(tmp_path / name, "empty|not a readable Parquet file")


def test_a_header_alone_gives_no_rows(tmp_path):
    for kind in ("csv", "parquet"):
        assert list(read_rows(write(tmp_path / f"a.{kind}", []), label_column=None)) == []


@pytest.mark.parametrize("before", [0, 10, 20_000])
def test_bytes_of_another_encoding_are_placed(tmp_path, before):
    head = b"text,label\n" + b'"two\nlines, in all of eighty bytes or so, so that many make a mebibyte",x\n' * before + b"caf"
    (tmp_path / "a.csv").write_bytes(head + b"\xe9,y\nmore,z\n")
    fails(tmp_path / "a.csv", rf"byte 0xe9 at offset {len(head)} \(row {before + 1}\) is not utf-8; .*--encoding latin-1")
    assert list(read_rows(tmp_path / "a.csv", encoding="latin-1"))[before].text == "café"


def test_an_encoding_error_on_the_border_of_two_reads(tmp_path):
    head = b"text\n" + b"a" * ((1 << 20) - 6)
    (tmp_path / "a.jsonl").write_bytes(head + b"\xc3(")  # the lead byte ends the first read
    fails(tmp_path / "a.jsonl", rf"byte 0xc3 at offset {len(head)} \(row 2\)")


def test_a_character_cut_off_at_the_end(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x", "label": "y"}\n\xe2\x82'))
    fails(tmp_path / "a.jsonl.gz", r"byte 0xe2 at offset 28 \(row 2\)")


def test_utf_16_is_recognised(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,label\nx,y\n".encode("utf-16"))
    fails(tmp_path / "a.csv", "--encoding utf-16")


@pytest.mark.parametrize(
    ("data", "guess"),
    [
        ("“quoted”", "cp1252"),
        ("5 € and a dash – here", "cp1252"),
        ("caf\xe9 first and then ’", "cp1252"),
        ("café", "latin-1"),
        ("£5", "latin-1"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "csv.gz"])
def test_text_of_windows_is_told_from_latin_1(tmp_path, data, guess, kind):
    path = tmp_path / f"a.{kind}"
    body = '{"text": "' + data + '", "label": "x"}\n' if kind == "jsonl" else f"text,label\n{data},x\n"
    path.write_bytes((gzip.compress if kind == "csv.gz" else bytes)(body.encode("cp1252")))
    fails(path, rf"is not utf-8; name the file's encoding, for example --encoding {guess}$")
    assert next(read_rows(path, encoding=guess)).text == data


def test_bytes_of_neither_get_no_example(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,label\nЏ ђ,x\n".encode("cp1251"))
    fails(tmp_path / "a.csv", r"byte 0x8f at offset 11 \(row 1\) is not utf-8; name the file's encoding with --encoding$")
    fails(
        tmp_path / "a.csv", r"byte 0x8f at offset 11 \(row 1\) is not cp1252; name the file's encoding with --encoding$", encoding="cp1252"
    )


@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"\xff/a.csv", b"folder/caf\xe9.csv"])
def test_a_name_that_is_no_utf_8_is_refused(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    write(path)
    for root in (path, path.parent):
        with pytest.raises(UserError, match=r"\\udc.*this name holds bytes that are no UTF-8; rename") as error:
            list(read_rows(root))
        str(error.value).encode()


@pytest.mark.parametrize("encoding", ["utf-9", "base64", "idna", "unicode_escape", "undefined", "a\0b", ""])
def test_an_unknown_encoding(tmp_path, encoding):
    with pytest.raises(UserError, match=f"--encoding {encoding}: there is no such text encoding"):
        list(read_rows(write(tmp_path / "a.csv"), encoding=encoding))


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (b"text;label\nx;y\n", "utf-8", "they are separated by ';': write it with commas"),
        (b"text|label\nx|y\n", "utf-8", "they are separated by '|': write it with commas"),
        (b"text\tlabel\nx\ty\n", "utf-8", "let its name end in .tsv"),
        ("text,label\nx,y\n".encode("utf-8-sig"), "cp1252", "byte order mark: it is --encoding utf-8 or utf-16"),
        ("text,label\nx,y\n".encode("utf-16"), "utf-16-le", "byte order mark: it is --encoding utf-8 or utf-16"),
        ("text,label\nx,y\n".encode("utf-16"), "latin-1", "byte order mark: it is --encoding utf-8 or utf-16"),
        ("text,label\nx,y\n".encode("utf-16-le"), "utf-8", "it is --encoding utf-16-le"),
        ("text,label\nx,y\n".encode("utf-32"), "utf-8", "--encoding utf-32"),
        (gzip.compress(b"text,label\nx,y\n" * 9, mtime=0), "utf-8", "this is no text, but gzip: let its name end in .gz"),
        (b"PK\x03\x04\x14\0\xe3\xff", "utf-8", "this is no text, but a zip archive or a document of an office program"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "utf-8", "export it as csv"),
        (b"\x28\xb5\x2f\xfd\xff", "utf-8", "let its name end in .zst"),
    ],
)
def test_a_header_that_was_misread_says_how_to_read_it(tmp_path, content, encoding, said):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(said)):
        list(read_rows(tmp_path / "a.csv", encoding=encoding))


@pytest.mark.parametrize("between", ["", "\ufeff"])
def test_a_second_header_is_no_document(tmp_path, between):
    (tmp_path / "a.csv").write_text(f"text, label\na,b\n{between}text, label\nc,d\ntext,other\n")
    rows = list(read_rows(tmp_path / "a.csv"))
    assert [(row.row, row.text, row.reason) for row in rows if not row.reason] == [(1, "a", ""), (3, "c", ""), (4, "text", "")]
    assert (rows[1].row, rows[1].label, rows[1].reason) == (2, None, "the header again")


def test_parquet_text_that_is_not_utf_8(tmp_path):
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xe9a"))
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    fails(tmp_path / "a.parquet", r"a text in rows 1 to 1 is not utf-8", "text", None)


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_packed_file_that_is_cut_short(tmp_path, packed):
    records = [(f"text number {i * i}", str(i)) for i in range(5000)]
    path = write(tmp_path / f"a.csv{packed}", records)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    fails(path, "damaged or cut short")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.parquet"])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name):
    (tmp_path / name).write_text("text,label\nx,y\n" * 10)
    fails(tmp_path / name, "damaged|not a readable Parquet file")


def test_a_damaged_parquet_page(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text number {i * i}" for i in range(5000)]}), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    path.write_bytes(data)
    fails(path, "this Parquet file is damaged", "text", None)


def test_a_quote_that_is_never_closed(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\na,b\n"open,c\nd,e\n')
    fails(tmp_path / "a.csv", r"a quote opened in row 2 \(line 3\) is never closed")


def test_records_that_cannot_be_used_say_why(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"a"b,c\nd,e\nf\ng,h,i\nj,k\n')
    assert [(row.row, row.reason) for row in read_rows(tmp_path / "a.csv")] == [
        (1, "broken quoting"),
        (2, ""),
        (3, "wrong number of fields"),
        (4, "wrong number of fields"),
        (5, ""),
    ]
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": \n[1]\n' + "[" * 100_000 + "\n")
    assert [row.reason for row in read_rows(tmp_path / "a.jsonl")] == ["", "not JSON", "not a JSON object", "not JSON"]


def test_a_file_that_is_taken_away_meanwhile(tmp_path):
    fill(tmp_path)
    rows = read_rows(tmp_path)
    next(rows)
    (tmp_path / "valid" / "pos" / "1.txt").unlink()
    with pytest.raises(UserError, match=r"1\.txt: the file is gone"):
        list(rows)


def test_bad_bytes_far_down_a_file_with_quoted_line_breaks(tmp_path):
    """The row is counted over many reads, of which some end within a record, and one between the two bytes of a line's end."""
    record = b'"a text\r\nof two lines, \xc3\xa9",x\r\n'
    head = b"text,label\r\n" + record * (3 * CHUNK // len(record))
    for path, packed in ((tmp_path / "a.csv", bytes), (tmp_path / "a.csv.gz", gzip.compress)):
        path.write_bytes(packed(head + b'"caf\xe9",y\r\n'))
        fails(path, rf"byte 0xe9 at offset {len(head) + 4} \(row {3 * CHUNK // len(record) + 1}\)")


@pytest.mark.parametrize("packed", ["", ".zst"])
def test_a_large_parquet_file_is_not_held_in_memory(tmp_path, packed):
    texts = [f"{number} {os.urandom(1000).hex()}" for number in range(20_000)]  # 40 MB in one row group
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts}), path, compression="none", use_dictionary=False)
    if packed:
        path = tmp_path / "a.parquet.zst"
        path.write_bytes(zstandard.ZstdCompressor(level=1).compress((tmp_path / "a.parquet").read_bytes()))
    before, most, count = pa.total_allocated_bytes(), 0, 0
    tracemalloc.start()
    try:
        for _ in read_rows(path, label_column=None):
            count += 1
            most = max(most, pa.total_allocated_bytes() - before)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000 and most + held < 25e6


def test_nul_characters_reach_the_checks(tmp_path):
    for kind in ("csv", "jsonl", "parquet"):
        assert brief(read_rows(write(tmp_path / f"a.{kind}", [("a\0b", "x")]))) == [("a\0b", "x")]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_row_has_its_whole_record_where_it_is_wanted(tmp_path, kind):
    path = write(tmp_path / f"rows.{kind}")
    whole = [row.record for row in read_file(path, str(path), Columns("text", None, every=True))]
    assert [record["label"] for record in whole] == [row.label for row in read_rows(path)] and len(whole) > 1
    assert all(row.record is None for row in read_rows(path))
