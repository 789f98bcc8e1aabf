"""Which texts to label next: those that a classifier is least sure of, those that differ as well, or any.

A pool of any length is read once; only the candidates are held. A text that occurs several times is a candidate once.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Strategy = Literal["breaking-ties", "random", "diverse"]
SURPLUS = 10  # candidates for each text that a diverse choice takes
MOST = 10_000  # candidates, unless more texts are to be chosen
ITERATIONS = 50  # of k-means

Item = TypeVar("Item")


def margins(probabilities: NDArray[np.floating], thresholds: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """How sure the decision is, float64 [N], of ``probabilities`` [N, L]: 0 is a tie.

    Between classes: the highest less the second highest (breaking ties: Luo et al. 2005). With ``thresholds`` [L], each label is
    a decision of its own: the distance of the closest one.
    """
    if thresholds is not None:
        return np.abs(probabilities - thresholds).min(axis=1).astype(np.float64)
    highest = np.partition(probabilities, -2, axis=1)[:, -2:]
    return (highest[:, 1] - highest[:, 0]).astype(np.float64)


def chance(texts: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), float64 [N], that look random: the same text has the same number wherever it stands."""
    digests = (hashlib.blake2b(text.encode(), digest_size=6, key=seed.to_bytes(8, "little")).digest() for text in texts)
    return np.array([int.from_bytes(digest, "little") / 2**48 for digest in digests], dtype=np.float64)


@dataclass(frozen=True)
class Candidate(Generic[Item]):
    """A text that may be chosen, the ``item`` it belongs to, and where that stood: the lower the score, the sooner it is chosen."""

    score: float
    place: int
    text: str
    item: Item

    def __lt__(self, other: "Candidate[Item]") -> bool:
        return (self.score, self.place) > (other.score, other.place)  # the top of a heap is the one to give up first


class Candidates(Generic[Item]):
    """The ``most`` candidates of the lowest scores, each text once: the first of several, whose scores must be the same."""

    def __init__(self, most: int):
        self._most, self._seen = most, 0
        self._heap: list[Candidate[Item]] = []
        self._texts: set[str] = set()

    def add(self, items: Iterable[Item], texts: Sequence[str], scores: NDArray[np.float64]) -> None:
        """Consider further items, with their ``texts`` and ``scores`` [N]."""
        for item, text, score in zip(items, texts, scores.tolist(), strict=True):
            self._seen += 1
            if text in self._texts:
                continue
            candidate = Candidate(score, self._seen, text, item)
            if len(self._heap) < self._most:
                heapq.heappush(self._heap, candidate)
            elif self._heap[0] < candidate:
                self._texts.discard(heapq.heapreplace(self._heap, candidate).text)
            else:
                continue
            self._texts.add(text)

    def sorted(self) -> list[Candidate[Item]]:
        """The lowest score first; of equal ones, the first that was added."""
        return sorted(self._heap, reverse=True)


def candidates_for(number: int, strategy: Strategy) -> int:
    """How many candidates to hold, of which ``number`` are chosen."""
    return max(number, min(SURPLUS * number, MOST)) if strategy == "diverse" else number


def diverse(scores: NDArray[np.float64], vectors: NDArray[np.floating], number: int, seed: int) -> NDArray[np.int64]:
    """Sorted places of ``number`` candidates of N: the lowest score in each of as many clusters of their ``vectors`` [N, F].

    After Zhdanov (2019): k-means over the least sure. Where there are fewer clusters, the rest are the lowest scores of all.
    """
    from sklearn.cluster import KMeans

    if number >= len(scores):
        return np.arange(len(scores))
    clusters = KMeans(number, n_init=1, max_iter=ITERATIONS, random_state=seed % 2**32).fit_predict(vectors)
    order = scores.argsort(kind="stable")
    _, first = np.unique(clusters[order], return_index=True)
    chosen = order[np.sort(first)]
    return np.sort(np.concatenate([chosen, order[~np.isin(order, chosen)][: number - len(chosen)]]))


def choose(
    candidates: Sequence[Candidate[Item]], number: int, vectors: Callable[[list[str]], NDArray[np.floating]] | None, seed: int
) -> list[Item]:
    """The items of ``number`` candidates, the lowest score first; with the ``vectors`` of texts, a diverse choice."""
    if vectors is None or len(candidates) <= number:
        return [candidate.item for candidate in candidates[:number]]
    scores = np.array([candidate.score for candidate in candidates])
    return [candidates[place].item for place in diverse(scores, vectors([one.text for one in candidates]), number, seed).tolist()]
