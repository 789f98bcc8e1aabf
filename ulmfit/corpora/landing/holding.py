"""Which documents of a corpus are forgotten: known by their texts, for nothing else is kept of what is forgotten."""

import numpy as np
import pyarrow as pa

from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.corpora.reading.opening import open_parquet
from ulmfit.corpora.text_digests import digests, exact, fold


def forgotten_ids(part: str, refusal: Refusal) -> list[str]:
    """The ids of the forgotten documents in the corpus part at the location ``part``, also of those that are stored in pieces."""
    with open_parquet(part) as file:
        table = file.read(columns=["id", "text", "piece"], use_threads=False)
    begins = np.flatnonzero(table["piece"].to_numpy() == 0)
    if not len(begins):
        return []
    ids = table["id"].take(pa.array(begins)).to_pylist()
    if len(begins) == len(table):
        texts = _digests(*digests(pa.concat_arrays(table["text"].chunks)))
    else:
        whole = ["".join(rows.tolist()) for rows in np.split(np.array(table["text"].to_pylist(), object), begins[1:])]
        texts = _digests(b"".join(map(exact, whole)), b"".join(map(fold, whole)))
    names = np.zeros((len(ids), 2), np.uint64)
    return [ids[row] for row in np.flatnonzero(Refusal(texts=refusal.texts).among(texts, names)).tolist()]


def _digests(*found: bytes) -> tuple[np.ndarray, ...]:
    """uint64 [N, 2] each."""
    return tuple(np.frombuffer(each, np.uint64).reshape(-1, 2) for each in found)
