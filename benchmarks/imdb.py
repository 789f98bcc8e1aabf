"""IMDB as ids, the same for both sides of a comparison: encoded once, kept in the temporary folder, read memory-mapped."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

RULES = "fastai"  # with these, our tokens are fastai's own, so that texts and ids mean the same to both


@dataclass(frozen=True)
class Ids:
    """The train split: ``flat`` uint16 [tokens], ``offsets`` int64 [documents + 1], ``labels`` int64 [documents], ``vocab`` tokens by id."""

    flat: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    vocab: list[str]

    def docs(self, index: np.ndarray) -> list[np.ndarray]:
        return [self.flat[self.offsets[i] : self.offsets[i + 1]] for i in index.tolist()]

    def sample(self, documents: int, seed: int) -> np.ndarray:
        """Places of as many documents, chosen by ``seed``."""
        return np.random.default_rng(seed).permutation(len(self.labels))[:documents]

    def enough(self, tokens: int, seed: int) -> np.ndarray:
        """Places of documents that hold ``tokens`` tokens together, chosen by ``seed``. ValueError where all of them do not."""
        order = self.sample(len(self.labels), seed)
        held = np.cumsum(np.diff(self.offsets)[order])
        if held[-1] < tokens:
            raise ValueError(f"the train split has {held[-1]:,} tokens, fewer than {tokens:,}; ask for fewer steps")
        return order[: np.searchsorted(held, tokens) + 1]


def train_file() -> Path:
    """Where the train split lies; it may not be there."""
    return Path(os.environ.get("ULMFIT_DATA", "")) / "imdb" / "train.parquet"


def texts_of(words: int, number: int, seed: int) -> list[str]:
    """The first ``words`` words of as many reviews that have them, chosen by ``seed``."""
    texts = pq.read_table(train_file(), columns=["text"])["text"].to_pylist()
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    long = (split for split in (texts[i].split() for i in order) if len(split) >= words)
    return [" ".join(split[:words]) for split, _ in zip(long, range(number), strict=False)]


def load(words: int) -> Ids:
    """The train split through a vocabulary of its ``words`` most frequent tokens; encoded where that was not done before."""
    folder = Path(tempfile.gettempdir()) / f"ulmfit-imdb-{words}-{train_file().stat().st_size}"
    if not folder.exists():
        _encode(words, folder)
    flat, offsets, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("flat", "offsets", "labels"))
    return Ids(flat, np.array(offsets), np.array(labels), json.loads((folder / "tokens.json").read_text()))


def _encode(words: int, folder: Path) -> None:
    from ulmfit import Tokenizer
    from ulmfit.text.vocab import Vocab

    table = pq.read_table(train_file(), columns=["text", "label"])
    documents = Tokenizer(rules=RULES)(table["text"].to_pylist())
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(document)
    vocab = Vocab.from_counts(counts, words, 1)
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    np.save(beside / "flat.npy", np.concatenate([vocab.encode(document) for document in documents]).astype(np.uint16))
    np.save(beside / "offsets.npy", np.cumsum([0, *map(len, documents)]))
    labels = table["label"].to_pylist()
    np.save(beside / "labels.npy", np.array([sorted(set(labels)).index(label) for label in labels]))
    (beside / "tokens.json").write_text(json.dumps(vocab.tokens))
    try:
        beside.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(beside)
