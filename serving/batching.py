"""Batches across requests: texts that wait at the same time are predicted together."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ulmfit.prediction.predictor import Predictor

PATIENCE = 0.004  # seconds that a text waits for others, where nothing is being predicted
BATCH_TEXTS, BATCH_CHARACTERS = 64, 400_000  # of a batch, at most
ALIKE, SHORT = 4, 2_000  # a batch holds texts up to so many times as long as its first one; below so many characters length is no matter
MOST_WAITING = 16_000_000  # characters
LAST = 5.0

Row = NDArray[np.float32]  # probabilities [L]


class Busy(Exception):
    """More texts wait than a server should promise to answer."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    text: str
    predictor: Predictor
    future: "Future[Row]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """One thread that predicts, for a model uses all cores; ``observe`` hears the size of each batch and its seconds.

    The oldest text is always in the next batch, with texts of about its length, so that a long one does not hold up short ones, and none
    waits for ever. A batch has one model: a request that came before another model did is answered by the one it was given to.
    """

    def __init__(self, observe: Callable[[int, float], None] = lambda texts, seconds: None):
        self._observe = observe
        self._waiting: list[_Waiting] = []
        self._characters = 0
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work, name="predict", daemon=True)
        self._thread.start()

    def submit(self, predictor: Predictor, texts: Sequence[str]) -> "list[Future[Row]]":
        """A future of the probabilities [L] of each text. Busy where too many wait already."""
        new = [_Waiting(text, predictor) for text in texts]
        with self._changed:
            if self._closed or (self._waiting and self._characters + sum(map(len, texts)) > MOST_WAITING):
                raise Busy
            self._waiting += new
            self._characters += sum(map(len, texts))
            self._changed.notify()
        return [waiting.future for waiting in new]

    @property
    def alive(self) -> bool:
        """Whether texts are being predicted."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        return len(self._waiting)

    def close(self) -> None:
        """Predict what waits, and end; what takes longer than the ``LAST`` seconds is given up with the process."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(LAST)

    def _work(self) -> None:
        while batch := self._next():
            running = [waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()]
            if running:
                started = time.monotonic()
                _predict(running)
                self._observe(len(running), time.monotonic() - started)

    def _next(self) -> list[_Waiting]:
        """The next batch; none when the batcher is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._waiting:
                left = self._waiting[0].since + PATIENCE - time.monotonic()
                self._changed.wait_for(lambda: self._closed or len(self._waiting) >= BATCH_TEXTS, max(0.0, left))
            batch = _batch(self._waiting)
            chosen = set(map(id, batch))
            self._waiting = [waiting for waiting in self._waiting if id(waiting) not in chosen]
            self._characters -= sum(len(waiting.text) for waiting in batch)
            return batch


def _batch(waiting: Sequence[_Waiting]) -> list[_Waiting]:
    """The first, and those that came after it, fit beside it and have its model."""
    batch: list[_Waiting] = []
    characters = 0
    for one in waiting:
        first = waiting[0]
        alike = one.predictor is first.predictor and len(one.text) <= max(SHORT, ALIKE * len(first.text))
        if not batch or (alike and characters + len(one.text) <= BATCH_CHARACTERS):
            batch.append(one)
            characters += len(one.text)
        if len(batch) == BATCH_TEXTS:
            break
    return batch


def _predict(batch: Sequence[_Waiting]) -> None:
    """Answer a batch; where it fails, each text by itself, so that one does not fail others."""
    try:
        rows = batch[0].predictor.probabilities([waiting.text for waiting in batch], shown=False)
    except Exception as error:
        if len(batch) == 1:
            batch[0].future.set_exception(error)
        else:
            for waiting in batch:
                _predict([waiting])
        return
    for waiting, row in zip(batch, rows, strict=True):
        waiting.future.set_result(row)
