"""Forecasts of a study: what more labels and more documents bring, by its own trials."""

from tests.experiments.study import grid, texts, trial
from ulmfit.experiments.forecast import Purchase, by_documents, by_labels, curves, forecasts
from ulmfit.experiments.learning_curves.power_law import MISFIT


def test_more_labels_and_where_the_other_catches_up() -> None:
    said = forecasts(grid(), Purchase(labels=300), MISFIT)
    assert said[0].startswith("ULMFiT, 300 more labels: +") and " points (" in said[0]
    assert said[1].startswith("TF-IDF + logistic regression ")


def test_as_many_again_where_nothing_is_asked_and_no_farther_than_a_forecast_goes() -> None:
    assert "400 more labels" in forecasts(grid(), Purchase(), MISFIT)[0]
    assert "1,200 more labels" in forecasts(grid(), Purchase(labels=10**9), MISFIT)[0]


def test_documents_and_the_better_buy() -> None:
    results = [*grid(), *texts(labels=400)]
    said = forecasts(results, Purchase(labels=100, documents=1000, label_cost=0.2, document_cost=0.001), MISFIT)
    assert any(line.startswith("ULMFiT, 1,000 more unlabelled documents:") for line in said)
    assert any(line.startswith("For 20: 100 more labels") for line in said)
    assert not any(line.startswith("For ") for line in forecasts(results, Purchase(label_cost=0.2), MISFIT)), "one price alone"


def test_too_few_points_are_no_curve() -> None:
    few = [result for result in grid() if result.labels in (50, 100)]
    assert forecasts(few, Purchase(), MISFIT) == [] and by_labels(few) is None and by_documents(few) is None


def test_a_fall_is_told() -> None:
    fallen = [trial(score, number, labels, method="ulmfit", regime="general+domain") for labels, score in ((50, 0.5), (100, 0.8), (200, 0.9), (400, 0.6)) for number in range(3)]  # fmt: skip
    assert forecasts(fallen, Purchase(), MISFIT)[-1] == "ULMFiT by labels: the curve is not monotone: 30.0 points are lost from 200 to 400."


def test_each_method_and_corpus_has_a_curve_of_its_own() -> None:
    assert len(curves([*grid(), *grid("imdb"), trial(0.5, corpus="short")])) == 8
