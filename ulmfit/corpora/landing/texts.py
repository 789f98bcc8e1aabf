"""Reads documents of the ledger back: their texts, and the labels that they have now."""

from collections.abc import Collection

import numpy as np
import pyarrow.parquet as pq

from ulmfit.corpora.ingest.facts import UNKNOWN
from ulmfit.corpora.landing.state import LandedState
from ulmfit.store import filesystem


def texts_of(state: LandedState, parts: Collection[str], most: int, seed: int) -> tuple[list[str], list[str | None]]:
    """Texts and labels of the documents in these parts, a seeded sample of ``most`` where there are more."""
    documents, names = state.documents, np.array([part.name in parts for part in state.parts], bool)
    among = np.flatnonzero(documents.live & np.append(names, False)[documents.rows.part])
    chosen = np.sort(np.random.default_rng(seed).permutation(among)[:most])
    texts: list[str] = []
    for number in np.unique(documents.rows.part[chosen]).tolist():
        first = int(np.searchsorted(documents.rows.part, number))
        wanted = chosen[documents.rows.part[chosen] == number] - first
        texts += _texts(filesystem.join(state.location, f"{state.parts[number].stem}.parquet"), wanted)
    labels = documents.label[chosen].tolist()
    return texts, [None if label == UNKNOWN else documents.rows.facts.labels[label] for label in labels]


def _texts(location: str, wanted: np.ndarray) -> list[str]:
    """The texts of the documents ``wanted`` int64 [n] of a part, in order; a long one is put together from its pieces."""
    with filesystem.input_file(location) as file:
        table = pq.read_table(file, columns=["text", "piece"])
    number = np.cumsum(table["piece"].to_numpy() == 0) - 1
    kept = np.isin(number, wanted)
    rows = table.filter(kept)
    texts: list[str] = []
    for text, piece in zip(rows["text"].to_pylist(), rows["piece"].to_pylist(), strict=True):
        if piece:
            texts[-1] += text
        else:
            texts.append(text)
    return texts
