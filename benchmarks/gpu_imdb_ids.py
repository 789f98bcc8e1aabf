"""IMDB for ``gpu_imdb.py``: reviews as ids in one file that travels to a GPU."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.parquet as pq

from ulmfit.config import Settings
from ulmfit.shards.documents import Documents
from ulmfit.text.vocab import Vocab

TEST = 5_000
VALID_SHARE = 0.02  # of the text, by which the language models are judged
POOL = 12_000  # unlabelled reviews that teachers speak about


@dataclass(frozen=True)
class Reviews:
    """``train``, ``test`` with labels 0 (neg) and 1 (pos), ``unlabelled``; ``vocab`` is that of the text of train and unlabelled."""

    train: Documents
    test: Documents
    unlabelled: Documents
    vocab: Vocab

    @classmethod
    def read(cls, folder: Path, tiny: bool = False) -> Self:
        with np.load(folder / "ids.npz") as found:
            flat, lengths, labels, counts = (found[name] for name in ("flat", "lengths", "labels", "counts"))
        ends = np.cumsum(lengths.astype(np.int64))
        documents = [flat[end - length : end] for end, length in zip(ends, lengths.astype(np.int64), strict=True)]
        parts, start = [], 0
        for count in counts.tolist():
            rows = np.arange(start, start + count)[:: count // 200 if tiny else 1]
            cut = [documents[row][: 120 if tiny else None] for row in rows]
            parts.append(Documents.of(cut, labels[rows].astype(np.int32)))
            start += count
        return cls(*parts, Vocab.load(folder / "vocab.json"))

    @property
    def pool(self) -> Documents:
        """Unlabelled reviews that a classifier is asked about."""
        return self.unlabelled.take(np.arange(min(POOL, len(self.unlabelled))))

    def text(self, reviews: int) -> tuple[Documents, Documents]:
        """So many reviews (nested draws) to learn language from, and others to judge by."""
        every = self.joined(self.train, self.unlabelled)
        order = np.random.default_rng(0).permutation(len(every))
        held = int(len(every) * VALID_SHARE)
        return every.take(order[held : held + max(reviews, 50)]), every.take(order[:held])

    def joined(self, first: Documents, second: Documents) -> Documents:
        """Both one after the other; the label of a document is its place."""
        documents = [part.doc(i) for part in (first, second) for i in range(len(part))]
        return Documents.of(documents, np.arange(len(documents)))


def encode(folder: Path, settings: Settings) -> None:
    """Tokenise the reviews in ``$ULMFIT_DATA/imdb`` and write their ids and the vocabulary into ``folder``."""
    from ulmfit.text.tokenizer import Tokenizer  # it needs spaCy, which the GPU's machine may lack

    source, tokenizer = Path(os.environ["ULMFIT_DATA"]) / "imdb", Tokenizer(settings.text.lang, settings.text.rules)
    tokens, labels, counts = [], [], []
    for split in ("train", "test", "unsup"):
        rows = pq.read_table(source / f"{split}.parquet").to_pylist()
        if split == "test":
            rows = [rows[i] for i in np.sort(np.random.default_rng(0).permutation(len(rows))[:TEST])]
        tokens.append(tokenizer([row["text"] for row in rows]))
        labels += [{"neg": 0, "pos": 1}.get(row.get("label"), -1) for row in rows]
        counts.append(len(rows))
    seen = Counter(token for part in (tokens[0], tokens[2]) for document in part for token in document)
    vocab = Vocab.from_counts(seen, settings.vocab.max_size, settings.vocab.min_count)
    folder.mkdir(parents=True, exist_ok=True)
    vocab.save(folder / "vocab.json")
    ids = [vocab.encode(document).astype(np.uint16) for part in tokens for document in part]
    np.savez_compressed(
        folder / "ids.npz",
        flat=np.concatenate(ids),
        lengths=np.array([len(document) for document in ids], np.uint32),
        labels=np.array(labels, np.int8),
        counts=np.array(counts),
    )
    print(json.dumps({"documents": counts, "tokens": int(sum(map(len, ids))), "words": len(vocab)}))
