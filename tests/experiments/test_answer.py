"""What a study answers, in sentences."""

from tests.experiments.study import grid, texts, trial
from ulmfit.experiments.answer import answers
from ulmfit.experiments.means import means


def test_margins_at_both_ends_and_what_labels_are_worth() -> None:
    few, many, worth = answers(means(grid()))
    assert few.startswith("With 50 labels ULMFiT is right on 61.0% (58.5 to 63.5)")
    assert "TF-IDF + logistic regression, on 51.0%" in few and few.endswith("+10.0 points.")
    assert many.startswith("With 400 labels ULMFiT is right on 76.0%")
    assert worth == "What ULMFiT reaches with 50 labels, TF-IDF + logistic regression reaches with 200, among the numbers tried."


def test_what_is_never_reached_and_what_is_reached_with_fewer() -> None:
    ours = [trial(0.9, labels=50, method="ulmfit", regime="general+domain")]
    assert answers(means([*ours, trial(0.5, labels=50), trial(0.6, labels=400)]))[1].endswith("does not reach with 400.")
    better = answers(means([*ours, trial(0.95, labels=50)]))
    assert better[0].endswith("-5.0 points.") and better[1] == "TF-IDF + logistic regression reaches as much with 50 labels."


def test_what_the_text_of_the_domain_is_worth() -> None:
    said = answers(means(texts()))[-1]
    assert "At 50 labels the general language model tuned on the domain with 8,000 unlabelled documents is best" in said
    assert "language model of the domain alone with 0 unlabelled documents is last, 30.0 points behind" in said


def test_methods_of_words_alone_and_a_single_trial_without_interval() -> None:
    assert answers(means([trial(0.5), trial(0.75, labels=100, method="nbsvm")])) == [
        "The best here is NB-SVM with 100 labels: 75.0% right."
    ]
