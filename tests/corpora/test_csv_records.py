"""Records of csv files: broken ones, and where the next true record begins."""

import csv
import gzip
import io
from itertools import islice

import pytest

from ulmfit.corpora.reading import csv_records
from ulmfit.corpora.reading.csv_records import WINDOWS, EndlessRecord, records
from ulmfit.corpora.reading.rows import read_rows
from ulmfit.errors import UserError

HEADER = "text,label\n"
SOUND = '"a plain, quoted one",neg\nx,y\n'


def read(body, delimiter=","):
    found = records(io.StringIO(HEADER.replace(",", delimiter) + body, newline=""), delimiter)
    return [(record.row, record.fields) for record in found][1:]


def read_up_to(count, body):
    return list(islice(records(io.StringIO(HEADER + body, newline=""), ","), count + 1))[1:]


BROKEN = {
    "a backslash and a line break": '"He said \\"hi\nthere, friend\\" and\nleft",pos\n',
    "a backslash, a comma behind the quote": '"He said \\"hi\\", and\nleft",pos\n',
    "a backslash at the end": '"He said \\"hi\\"",pos\n',
    "a line that looks like a record": '"He said \\"hi\nand then, nothing\nleft",pos\n',
    "quotes that are not doubled": '"First\n"quoted" text\nleft",pos\n',
    "quotes that are not doubled, at both ends": '"Great" he\nsaid, "really",pos\n',
    "line ends of Windows": '"He said \\"hi\r\nthere\\" and\r\nleft",pos\r\n',
    "blank lines": '"He said \\"hi\n\n\nthere\\" and left",pos\n',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_the_next_true_record_is_found(body):
    """Alone, twice, and as the last: nothing of a broken record becomes another."""
    sound = [["a plain, quoted one", "neg"], ["x", "y"]]
    assert read(body + SOUND) == [(1, None), (2, sound[0]), (3, sound[1])]
    assert read(SOUND + body + body + SOUND) == [(1, sound[0]), (2, sound[1]), (3, None), (4, None), (5, sound[0]), (6, sound[1])]
    assert read(SOUND + body)[2:] == [(3, None)]
    assert read(body.replace(",", "\t") + SOUND.replace(",", "\t"), "\t")[0] == (1, None)


@pytest.mark.parametrize("body", ['"a"b,c\n', '"a"b,c,d\n'])
def test_text_behind_a_quote_spoils_its_line(body):
    sound = [(2, ["d", "e"]), (3, ["f"]), (4, ["a plain, quoted one", "neg"]), (5, ["x", "y"])]
    assert read(body + "d,e\nf\n" + SOUND) == [(1, None), *sound]
    assert read('"a"b,c\n' + body + "x,y\n") == [(1, None), (2, None), (3, ["x", "y"])]


def test_a_whole_file_with_backslashes_gives_no_documents():
    body = "".join(f'"text \\"{number}\\" of\nmore, than one\nline {number}",{"pn"[number % 2]}\n' for number in range(30))
    assert read(body) == [(number, None) for number in range(1, 31)]


@pytest.mark.parametrize("size", WINDOWS[:2])
def test_a_broken_record_longer_than_what_is_looked_at_first(size):
    body = '"He said \\"hi\n' + "one, line of many\n" * (size // 18 + 2) + 'left\\"",pos\n'
    assert read(body + SOUND)[:2] == [(1, None), (2, ["a plain, quoted one", "neg"])]


def test_many_records_without_quotes_prove_that_a_record_is_over(monkeypatch):
    monkeypatch.setattr(csv_records, "AHEAD", 1 << 15)
    assert len(read_up_to(9001, '"a"b,c\n' + "some words,neg\n" * 9000 + '"open" and "so,pos\n')) == 9001


@pytest.mark.parametrize(
    ("body", "place", "is_open"),
    [
        ('a,b\n"open,c\nd,e\n', (2, 3), True),
        ('a,b\n"one\ntwo",c\n"q "r"\ns,t\n"u" v","w\nx",y\n', (3, 5), False),  # no way of reading agrees with what follows
        ('"a"b,c\n"a"b,c\n' + SOUND, (1, 2), False),  # two ways agree
    ],
)
def test_a_record_without_a_known_end_stops_with_its_row(body, place, is_open):
    with pytest.raises(EndlessRecord) as error:
        read(body)
    assert ((error.value.row, error.value.line), error.value.open) == (place, is_open)


def test_sound_files_are_read_as_the_csv_module_reads_them():
    body = '"a ""quoted"" word","x"\n\nsaid "no", y\n"two\r\nlines",""\n,\n"C:\\dir\\",z\n'
    assert [fields for _, fields in read(body)] == [row for row in csv.reader(io.StringIO(body, newline="")) if row]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_broken_file_names_the_row_and_the_remedy(tmp_path, name):
    packed = gzip.compress if name.endswith("gz") else bytes
    (tmp_path / name).write_bytes(packed((HEADER + SOUND + '"q "r"\ns,t\n"u" v","w\nx",y\n').encode()))
    with pytest.raises(UserError, match=r"the quoting of row 3 \(line 4\) is broken, .*; double each quote"):
        list(read_rows(tmp_path / name))
    (tmp_path / name).write_bytes(packed(b'"te"xt,label\n'))
    with pytest.raises(UserError, match=r"the header cannot be read"):
        list(read_rows(tmp_path / name))


def test_the_end_of_a_text_without_quotes_is_no_labelled_document(tmp_path):
    """A line break in a text that is not quoted: neither piece is a document; a record that begins with a quote is one."""
    (tmp_path / "a.csv").write_text(HEADER + 'one\nof three\nlines,pos\nx,y\nno label\n"a, b",neg\nlast,pos\n')
    assert [(row.text, row.reason) for row in read_rows(tmp_path / "a.csv")] == [
        ("one", "wrong number of fields"),
        ("of three", "wrong number of fields"),
        ("lines,pos", "may be the end of the row before"),
        ("x", ""),
        ("no label", "wrong number of fields"),
        ("a, b", ""),
        ("last", ""),
    ]
    assert [row.reason for row in read_rows(tmp_path / "a.csv", label_column=None)][2] == ""
    (tmp_path / "b.csv").write_text("text\none\ntwo\n")
    assert [row.reason for row in read_rows(tmp_path / "b.csv", label_column=None)] == ["", ""]
