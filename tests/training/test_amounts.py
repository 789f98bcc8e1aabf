"""What is trained in a given time: pure functions, tried with made-up speeds."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from ulmfit.presets import preset
from ulmfit.training.amounts import (
    FEWEST_EPOCHS,
    FEWEST_JUDGED,
    FEWEST_LABELLED,
    Amounts,
    Choice,
    Costs,
    PassOver,
    choose,
    described,
    with_amounts,
)

IMDB = Amounts(tokens=44_000_000, epochs=5, labelled=22_500, judged=25_000)
TREC = Amounts(tokens=660_000, epochs=30, labelled=500, judged=500)
ONCE = PassOver("finetune", tokens=66_000, streams=23, least=2_000)
FAST = Costs(token=1 / 25_000, document=0.01, epoch=2.0, judged=0.002, labelled=0.0015, fixed=20.0)
SLOW = Costs(token=1 / 4_000, document=0.06, epoch=6.0, judged=0.01, labelled=0.002, fixed=30.0)


def test_what_fits_is_left_as_it_is() -> None:
    assert choose(IMDB, FAST, 10**6) == IMDB
    needed = FAST.seconds(TREC)
    assert choose(TREC, FAST, needed * 1.2) == TREC != choose(TREC, FAST, needed * 0.9)


@pytest.mark.parametrize(("usual", "costs"), product([IMDB, TREC], [FAST, SLOW]))
def test_it_ends_in_time_and_uses_it(usual: Amounts, costs: Costs) -> None:
    for seconds in (240, 300, 600, 3600):
        chosen = choose(usual, costs, seconds)
        assert costs.seconds(chosen) <= seconds
        assert chosen == usual or costs.seconds(chosen) >= 0.8 * seconds


@pytest.mark.parametrize(("usual", "costs"), product([IMDB, TREC], [FAST, SLOW]))
def test_more_time_is_more_text_and_more_labels(usual: Amounts, costs: Costs) -> None:
    found = [choose(usual, costs, seconds) for seconds in (100, 200, 300, 600, 1200, 5000, 10**6)]
    for less, more in pairwise(found):
        assert (less.tokens, less.labelled, less.judged) <= (more.tokens, more.labelled, more.judged)
        assert less.labelled <= more.labelled and less.judged <= more.judged


def test_with_no_time_there_is_the_least_of_each() -> None:
    least = choose(IMDB, SLOW, 1)
    assert least == Amounts(tokens=0, epochs=1, labelled=FEWEST_LABELLED, judged=FEWEST_JUDGED)
    few = Amounts(tokens=500, epochs=3, labelled=20, judged=7)
    assert choose(few, SLOW, 1) == Amounts(tokens=0, epochs=1, labelled=20, judged=7)


def test_labels_come_before_passes_over_them() -> None:
    chosen = choose(Amounts(tokens=44_000_000, epochs=30, labelled=22_500, judged=0), FAST, 300)
    assert chosen.epochs == FEWEST_EPOCHS and FEWEST_LABELLED < chosen.labelled < 22_500


def test_time_that_the_language_model_cannot_use_goes_to_the_classifier() -> None:
    short = choose(TREC.model_copy(update={"tokens": 1_000}), SLOW, 300)
    assert short.tokens == 1_000 and SLOW.classifying(short) > 0.6 * 300


def test_settings_hold_the_amounts_that_are_less_and_no_minutes() -> None:
    settings = preset("small")
    assert with_amounts(settings, TREC, TREC, ONCE) == settings
    less = Amounts(tokens=33_000, epochs=9, labelled=400, judged=300)
    found = with_amounts(settings, less, TREC, ONCE)
    assert (found.finetune.epochs, found.finetune.batch_size) == (0.5, 23)
    assert (found.classifier.epochs, found.labels.number, found.evaluate.max_documents) == (9, 400, 300)
    untouched = {"finetune", "classifier", "labels", "evaluate"}
    assert found.model_dump(exclude=untouched) == settings.model_dump(exclude=untouched)
    assert with_amounts(settings, less.model_copy(update={"tokens": 1_999}), TREC, ONCE).finetune.epochs == 0


def test_people_are_told_what_is_left_out() -> None:
    told = described(Amounts(tokens=33_000, epochs=9, labelled=500, judged=300), TREC)
    assert "33,000 of 660,000 tokens" in told and "all 500 labelled documents in 9 epochs (usually 30)" in told
    assert "300 of 500 documents to judge by" in told


def test_a_choice_says_what_twice_the_time_would_do_and_when_the_minutes_are_too_few(caplog: pytest.LogCaptureFixture) -> None:
    choice = Choice.of(5, 60, IMDB, FAST)
    assert choice.chosen == choose(IMDB, FAST, 240) and choice.twice == choose(IMDB, FAST, 540)
    assert [line.partition(":")[0] for line in choice.lines()] == ["in 5 minutes", "in 10 minutes it would be"]
    assert len(Choice.of(60, 0, TREC, FAST).lines()) == 1 and not caplog.records
    Choice.of(5, 290, IMDB, SLOW)
    assert "5 minutes are too few here" in caplog.text
