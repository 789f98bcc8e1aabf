"""Batches: texts that wait together, of about the same length, of one model; one that fails does not fail others."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from serving import batching
from serving.batching import Batcher, Busy
from ulmfit.prediction.predictor import Predictor


class Held:
    """A model that answers with the text's length, when it is let."""

    def __init__(self) -> None:
        self.let, self.batches = threading.Event(), list[list[str]]()
        self.begun = threading.Event()

    def probabilities(self, texts: Sequence[str], shown: bool = True) -> np.ndarray:
        self.batches.append(list(texts))
        self.begun.set()
        assert self.let.wait(10)
        if "bad" in texts:
            raise RuntimeError("bad")
        return np.array([[len(text)] for text in texts], dtype=np.float32)


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher()
    yield made
    made.close()


def submit(batcher: Batcher, model: Held, *texts: str) -> list[Any]:
    return batcher.submit(cast(Predictor, model), texts)


def behind_one(batcher: Batcher) -> Held:
    """A model that is at work on a text, so that those that follow wait."""
    model = Held()
    submit(batcher, model, "first")
    assert model.begun.wait(10)
    return model


def test_what_waits_is_predicted_together(batcher: Batcher) -> None:
    model = behind_one(batcher)
    waiting = [submit(batcher, model, text)[0] for text in ("a", "bb", "ccc")]
    model.let.set()
    assert [float(future.result(10)[0]) for future in waiting] == [1, 2, 3]
    assert model.batches == [["first"], ["a", "bb", "ccc"]]


def test_a_long_text_does_not_hold_up_short_ones_and_gets_its_turn(batcher: Batcher) -> None:
    model = behind_one(batcher)
    long = "x" * 50_000
    waiting = submit(batcher, model, "a", long, "b", long)
    model.let.set()
    assert [float(future.result(10)[0]) for future in waiting] == [1, 50_000, 1, 50_000]
    assert [len(batch) for batch in model.batches] == [1, 2, 2] and model.batches[1] == ["a", "b"]


def test_a_batch_has_one_model(batcher: Batcher) -> None:
    model, new = behind_one(batcher), Held()
    new.let.set()
    waiting = [*submit(batcher, model, "a"), *submit(batcher, new, "bb"), *submit(batcher, model, "ccc")]
    model.let.set()
    assert [float(future.result(10)[0]) for future in waiting] == [1, 2, 3]
    assert model.batches == [["first"], ["a", "ccc"]] and new.batches == [["bb"]]


def test_a_text_that_fails_does_not_fail_others(batcher: Batcher) -> None:
    model = behind_one(batcher)
    good, bad, also = submit(batcher, model, "a", "bad", "ccc")
    model.let.set()
    assert float(good.result(10)[0]) == 1 and float(also.result(10)[0]) == 3
    with pytest.raises(RuntimeError):
        bad.result(10)


def test_a_text_that_nobody_waits_for_any_more_is_not_predicted(batcher: Batcher) -> None:
    model = behind_one(batcher)
    gone, kept = submit(batcher, model, "gone", "kept")
    gone.cancel()
    model.let.set()
    kept.result(10)
    assert model.batches == [["first"], ["kept"]]


def test_too_much_is_refused_before_it_waits(batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_WAITING", 10)
    model = behind_one(batcher)
    waiting = submit(batcher, model, "123456789012")  # larger than all that may wait, but alone
    with pytest.raises(Busy):
        submit(batcher, model, "a")
    model.let.set()
    waiting[0].result(10)
    assert float(submit(batcher, model, "a")[0].result(10)[0]) == 1


def test_the_end_answers_what_waits() -> None:
    batcher = Batcher()
    model = behind_one(batcher)
    waiting = submit(batcher, model, "a", "bb")
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.let.set()
    closing.join(10)
    assert [float(future.result(0)[0]) for future in waiting] == [1, 2] and not batcher.alive
    with pytest.raises(Busy):
        submit(batcher, model, "late")
