"""How many chosen labels reach what random ones do."""

import pytest

from tests.experiments.study import by_choice, grid, trial
from ulmfit.experiments.chosen_labels import choosing_answers, worth

RANDOM = {50: {0: 0.5, 1: 0.52}, 100: {0: 0.6, 1: 0.62}, 200: {0: 0.7, 1: 0.72}}


def better(gain: float, apart: float = 0.0) -> dict[int, dict[int, float]]:
    """The same curve by choice, which begins where that does; the gain of the two trials is ``apart`` from its mean."""
    lift = lambda trial: gain + (apart if trial else -apart)
    return {size: {trial: score + (lift(trial) if size > 50 else 0) for trial, score in scores.items()} for size, scores in RANDOM.items()}


def test_the_number_is_where_the_curve_by_choice_reaches_what_random_labels_do() -> None:
    found = worth(RANDOM, better(0.05))
    assert found and found.labels == 200 and found.reached.value == pytest.approx(0.71)
    assert found.needed == pytest.approx(100 * 2**0.5, abs=2), "half of a doubling"
    assert found.low == found.high == found.needed and found.gain.value == pytest.approx(0.05)


def test_trials_that_differ_make_it_an_interval() -> None:
    found = worth(RANDOM, better(0.05, apart=0.003))
    assert found and found.low and found.high and found.needed and found.low < found.needed < found.high < 200
    far = worth(RANDOM, better(0.05, apart=0.04))
    assert far and far.high is None and far.gain.low is not None and far.gain.low < 0
    text = " ".join(far.sentences("TF-IDF"))
    assert "to more than 200)" in text and "cannot be told" in text


def test_where_it_does_not_help_that_is_told() -> None:
    found = worth(RANDOM, better(-0.05))
    assert found and found.needed is None
    text = " ".join(found.sentences("ULMFiT"))
    assert "What 200 labels drawn at random reach, 71.0%" in text and "ULMFiT does not reach with 200 chosen ones" in text
    assert "-5.0 points (-5.0 to -5.0)" in text and "cannot be told" not in text


def test_a_single_trial_has_no_interval_and_no_common_trial_no_answer() -> None:
    alone = worth({size: {0: scores[0]} for size, scores in RANDOM.items()}, {size: {0: score[0]} for size, score in better(0.05).items()})
    assert alone and "in a single trial" in " ".join(alone.sentences("ULMFiT")) and "(" not in alone.sentences("ULMFiT")[0].split("%")[1]
    assert worth(RANDOM, {size: {7: 0.5} for size in RANDOM}) is None


def test_of_a_study_each_curve_by_choice_is_told_beside_that_of_its_method() -> None:
    said = choosing_answers([*grid(), *by_choice(), *by_choice(gain=-0.02, method="ulmfit")])
    assert len(said) == 4
    assert "ULMFiT does not reach with 400" in said[0] and "TF-IDF + logistic regression reaches with" in said[2]
    assert choosing_answers(grid()) == [] and choosing_answers([trial(0.5, labels=50)]) == []
