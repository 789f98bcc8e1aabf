"""Which documents are forgotten, by the digests of their texts and ids; nothing else is kept of them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from ulmfit.corpora.landing.entries import Entry, Forgotten
from ulmfit.corpora.text_digests import exact, fold
from ulmfit.store import filesystem

FILE, REASON = "refused.json", "forgotten"


@dataclass(frozen=True)
class Refusal:
    """Digests (see ``text_digests.py``) of texts, folded or exact, and of ids."""

    texts: frozenset[bytes] = frozenset()
    ids: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """What the entries of a ledger ask to be forgotten."""
        texts, ids = set[bytes](), set[bytes]()
        for entry in entries:
            if isinstance(entry, Forgotten):
                texts.update(map(bytes.fromhex, entry.texts))
                ids.update(map(bytes.fromhex, entry.ids))
        return cls(frozenset(texts), frozenset(ids))

    def __bool__(self) -> bool:
        return bool(self.texts or self.ids)

    def refuses(self, name: str, text: str) -> bool:
        """Whether the document with that id and text is forgotten."""
        return exact(name) in self.ids or (bool(self.texts) and (fold(text) in self.texts or exact(text) in self.texts))

    def among(self, texts: Iterable[np.ndarray], ids: np.ndarray) -> np.ndarray:
        """bool [N]: whether each document is forgotten; ``texts``: its digests, exact and folded, and ``ids``, uint64 [N, 2] each."""
        refused = _among(ids, self.ids)
        for digests in texts:
            refused |= _among(digests, self.texts)
        return refused

    @property
    def listed(self) -> list[list[str]]:
        """The digests in a stable form."""
        return [sorted(digest.hex() for digest in digests) for digests in (self.texts, self.ids)]

    def write(self, folder: str) -> str | None:
        """Write it for workers; None where nothing is refused."""
        if not self:
            return None
        location = filesystem.join(folder, FILE)
        filesystem.write_bytes(location, json.dumps(self.listed).encode())
        return location


@lru_cache(maxsize=2)
def read_refusal(location: str | None) -> Refusal:
    """What :meth:`Refusal.write` has written."""
    if location is None:
        return Refusal()
    texts, ids = json.loads(filesystem.read_bytes(location))
    return Refusal(frozenset(map(bytes.fromhex, texts)), frozenset(map(bytes.fromhex, ids)))


def _among(digests: np.ndarray, wanted: frozenset[bytes]) -> np.ndarray:
    """bool [N]: whether each of ``digests`` uint64 [N, 2] is ``wanted``."""
    if not wanted:
        return np.zeros(len(digests), bool)
    pairs = np.dtype([("first", np.uint64), ("second", np.uint64)])
    there = np.ascontiguousarray(digests).view(pairs).reshape(-1)
    return np.isin(there, np.frombuffer(b"".join(sorted(wanted)), pairs))
