"""The methods beside ours by name."""

import threading
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from ulmfit.corpora.catalog.vectors import fetch_vectors
from ulmfit.experiments.methods.decoder import Decoder
from ulmfit.experiments.methods.mean_vectors import MeanVectors, Vectors, vocabulary
from ulmfit.experiments.methods.method import Method
from ulmfit.experiments.methods.nbsvm import NaiveBayesSVM
from ulmfit.experiments.methods.tfidf import TfidfRegression

WordMethod = Literal["tfidf", "nbsvm", "glove", "decoder"]
WORD_METHODS: tuple[WordMethod, ...] = get_args(WordMethod)
VECTORS = "glove-50d"

_reading = threading.Lock()


def method_named(
    name: WordMethod, seed: int, downloads: Path, texts: Collection[str], decoder: Path | None = None, device: str = "cpu"
) -> Method:
    """The method; ``decoder``: the folder of that one, which learns on ``device``. ``texts``: all that it will meet, whose word vectors may have to be fetched into ``downloads``; UserError where they cannot be."""
    if name == "tfidf":
        return TfidfRegression(seed)
    if name == "nbsvm":
        return NaiveBayesSVM(seed)
    if name == "decoder":
        assert decoder, "a study that has the decoder names its folder"
        return Decoder(decoder, seed, device=device)
    with _reading:  # trials on one corpus meet the same words, and reading the file takes long
        return MeanVectors(_vectors(frozenset(vocabulary(texts)), downloads), seed)


@lru_cache(maxsize=2)
def _vectors(words: frozenset[str], downloads: Path) -> Vectors:
    return fetch_vectors(VECTORS, words, downloads)
