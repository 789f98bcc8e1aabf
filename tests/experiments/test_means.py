"""Means of trials and their intervals."""

import pytest

from ulmfit.experiments.means import difference, mean, means
from ulmfit.experiments.trial import Point, Trial, TrialResult


def test_the_interval_is_students() -> None:
    found = mean([0.80, 0.82, 0.84])  # t(2) = 4.303; standard error 0.02 / sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((0.82, 0.82 - 0.04968, 0.82 + 0.04968), abs=1e-5)


def test_a_share_stays_a_share() -> None:
    found = mean([0.9, 1.0])
    assert found.high == 1.0 and found.low is not None and 0 <= found.low < 0.9


def test_one_trial_has_no_interval_and_none_no_value() -> None:
    assert mean([0.5]).low is None and mean([0.5]).value == 0.5 and mean([]).value is None


def result(labels: int, number: int, accuracy: float, method: str = "tfidf") -> TrialResult:
    point = Point(corpus="c", method=method, labels=labels)
    scores = {"forward": {"accuracy": 0.1}, "forward+backward": {"accuracy": accuracy, "roc_auc": None}}
    return TrialResult(
        trial=Trial(point=point, number=number), documents=9, labels=labels, unlabelled=0, scores=scores, seconds=number, key="", run_id="", built=0
    )  # fmt: skip


def test_trials_of_a_point_are_taken_together_by_their_headline() -> None:
    few, many = means([result(5, 0, 0.4), result(9, 0, 0.8), result(5, 1, 0.6)])
    assert (few.labels, few.trials, few.scores["accuracy"].value, few.seconds) == (5, 2, pytest.approx(0.5), 0.5)
    assert (many.labels, many.trials, many.scores["accuracy"].low) == (9, 1, None)
    assert few.scores["roc_auc"].value is None


def test_another_system_than_the_headline() -> None:
    (found,) = means([result(5, 0, 0.4)], "forward")
    assert found.scores["accuracy"].value == 0.1


def test_the_score_of_a_trial_is_that_of_its_answer_in_whatever_order_systems_are_kept() -> None:
    accuracy = {"forward": 0.7, "backward": 0.6, "forward+backward": 0.8, "words": 0.5, "forward+backward+words": 0.9}
    for names in (list(accuracy), sorted(accuracy), sorted(accuracy, reverse=True)):
        kept = {name: {"accuracy": accuracy[name]} for name in names}
        without = {name: scores for name, scores in kept.items() if "words" not in name}
        made = result(9, 0, 0.1)
        assert made.model_copy(update={"scores": kept}).score("accuracy") == 0.9
        assert made.model_copy(update={"scores": without}).score("accuracy") == 0.8
        assert made.model_copy(update={"scores": kept}).score("accuracy", "words") == 0.5


def test_a_difference_is_that_of_trials_of_one_number_in_whatever_order() -> None:
    few, many = [result(5, number, score).trial.point for number, score in ((0, 0.0), (1, 0.0))], result(9, 0, 0.0).trial.point
    results = [result(9, 1, 0.9), result(5, 0, 0.5), result(9, 0, 0.6), result(5, 1, 0.7), result(9, 2, 0.1)]
    found = difference(results, many, few[0], "accuracy")
    assert found.value == pytest.approx(0.15), "of the two that both have: 0.1 and 0.2"
    assert found.low == pytest.approx(0.15 - 12.706 * 0.05, abs=1e-4), "t(1) = 12.706; a difference may be below 0"
    alone, none = difference(results[:3], many, few[0], "accuracy"), difference(results, many, few[0], "roc_auc")
    assert (alone.value, alone.low) == (pytest.approx(0.1), None) and none.value is None
