"""What a study answers, in sentences."""

from tests.experiments.study import grid, texts, trial
from ulmfit.experiments.answer import answers


def test_margins_at_both_ends_and_what_labels_are_worth() -> None:
    few, many, worth = answers(grid())
    assert few.startswith("With 50 labels ULMFiT is right on 61.0% (58.5 to 63.5)")
    assert "TF-IDF + logistic regression, on 51.0%" in few and few.endswith("+10.0 points (10.0 to 10.0).")
    assert many.startswith("With 400 labels ULMFiT is right on 76.0%")
    assert worth == "What ULMFiT reaches with 50 labels, TF-IDF + logistic regression reaches with 200, among the numbers tried."


def test_what_is_never_reached_and_what_is_reached_with_fewer() -> None:
    ours = [trial(0.9, labels=50, method="ulmfit", regime="general+domain")]
    assert answers([*ours, trial(0.5, labels=50), trial(0.6, labels=400)])[1].endswith("does not reach with 400.")
    better = answers([*ours, trial(0.95, labels=50)])
    assert (
        better[0].endswith("-5.0 points, in a single trial.")
        and better[1] == "TF-IDF + logistic regression reaches as much with 50 labels."
    )


def test_a_margin_within_chance_is_told_as_one() -> None:
    ours = [trial(accuracy, number, method="ulmfit", regime="general+domain") for number, accuracy in enumerate((0.80, 0.84, 0.82))]
    other = [trial(accuracy, number) for number, accuracy in enumerate((0.80, 0.80, 0.83))]
    (margin, *_) = answers([*ours, *other])
    assert margin.endswith("+1.0 points (-5.6 to 7.6); which of the two is better cannot be told."), "0, 4 and -1 points: t(2) = 4.303"


def test_what_the_text_of_the_domain_is_worth() -> None:
    said = answers(texts())[-1]
    assert "At 50 labels the general language model tuned on the domain with 8,000 unlabelled documents is best" in said
    assert "over the last, the language model of the domain alone with 0 unlabelled documents: +30.0 points (30.0 to 30.0)." in said


def test_methods_of_words_alone_and_a_single_trial_without_interval() -> None:
    assert answers([trial(0.5), trial(0.75, labels=100, method="nbsvm")]) == ["The best here is NB-SVM with 100 labels: 75.0% right."]
