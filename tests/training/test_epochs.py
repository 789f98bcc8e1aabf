"""How much training a text of a given size takes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ulmfit.config import ClassifierConfig, LMConfig
from ulmfit.training.epochs import CLASSIFIER_EPOCHS, FEWEST_STREAMS, LEAST_TOKENS, LM_EPOCHS, classifier_epochs, lm_amount, warm_amount

AUTO = LMConfig(epochs="auto", batch_size=64, bptt=70)


def test_numbers_are_left_as_they_are() -> None:
    assert lm_amount(LMConfig(epochs=3, batch_size=5), 10) == (3, 5)
    assert classifier_epochs(ClassifierConfig(epochs=7), 10, 100) == 7


@pytest.mark.parametrize("tokens", [0, 1, LEAST_TOKENS - 1])
def test_a_language_model_is_left_alone_where_there_is_next_to_no_text(tokens: int) -> None:
    assert lm_amount(AUTO, tokens)[0] == 0


def test_short_text_is_read_more_often_and_long_text_twice() -> None:
    tokens = np.unique(np.geomspace(LEAST_TOKENS, 10**9, 200).astype(int)).tolist()
    epochs, streams = zip(*(lm_amount(AUTO, count) for count in tokens), strict=True)
    assert all(later <= earlier for earlier, later in pairwise(epochs)), "more text, no more passes"
    assert (epochs[-1], epochs[0]) == LM_EPOCHS
    assert all(FEWEST_STREAMS <= number <= AUTO.batch_size for number in streams) and streams[-1] == AUTO.batch_size
    steps = [passes * (count // (number * 70)) for passes, count, number in zip(epochs, tokens, streams, strict=True)]
    assert min(steps) >= 3, "never so little that it is nothing"


@pytest.mark.parametrize("words", [10, 300])
def test_few_documents_are_read_more_often(words: int) -> None:
    config = ClassifierConfig(epochs="auto", batch_size=32)
    least, most = CLASSIFIER_EPOCHS
    found = [classifier_epochs(config, documents, documents * words) for documents in (2, 50, 100, 500, 2_500, 25_000, 10**6)]
    assert found == sorted(found, reverse=True) and found[0] == most and found[-1] == least


def test_short_documents_are_read_more_often_than_long_ones() -> None:
    config = ClassifierConfig(epochs="auto", batch_size=32)
    assert classifier_epochs(config, 5_000, 50_000) == 20 > classifier_epochs(config, 5_000, 1_500_000) == 7


def test_going_on_with_a_short_text_has_fewer_streams_and_with_next_to_none_no_epoch():
    config = LMConfig(epochs=3, batch_size=64)
    found = {tokens: warm_amount(config, tokens) for tokens in (0, LEAST_TOKENS - 1, LEAST_TOKENS, 50_000, 10**7)}
    assert [(amount.epochs, amount.batch_size) for amount in found.values()] == [(0, 8), (0, 8), (3, 8), (3, 16), (3, 64)]
