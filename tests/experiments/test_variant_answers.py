"""What a study of variants answers, in sentences."""

from tests.experiments.study import trial
from ulmfit.experiments.ablations import FORGETTING
from ulmfit.experiments.trial import TrialResult
from ulmfit.experiments.variant_answers import variant_answers


def tried(variant: str, *accuracies: float) -> list[TrialResult]:
    return [trial(value, number, 250, variant=variant, method="ulmfit", regime="general+domain") for number, value in enumerate(accuracies)]


def test_of_an_ablation_the_whole_method_stands_first_also_where_a_variant_is_better() -> None:
    results = [*tried("freez", 0.76), *tried("ULMFiT", 0.70), *tried("full", 0.71), *tried("last", 0.55), *tried(FORGETTING, 0.99)]
    assert variant_answers(results) == [
        "With 250 labels the whole method is wrong on 30.0% of the documents.",
        "The variant with the most errors is last: 45.0%, +15.0 points, in a single trial.",
        "The one with the fewest is freez: 24.0%, -6.0 points, in a single trial. 2 of 3 variants make fewer than the whole method.",
    ]


def test_where_the_whole_method_is_best_that_is_told_and_trials_give_intervals() -> None:
    said = variant_answers([*tried("ULMFiT", 0.8, 0.9), *tried("last", 0.7, 0.8), *tried("full", 0.79, 0.9)])
    assert said[1].startswith("The variant with the most errors is last: 25.0%") and "+10.0 points (10.0 to 10.0)." in said[1]
    assert said[2] == "None of the 2 variants makes fewer errors than the whole method."
    (_, alone) = variant_answers([*tried("ULMFiT", 0.7), *tried("no pretraining", 0.75)])
    assert alone == "The variant tried is no pretraining: 25.0%, -5.0 points, in a single trial."
    assert variant_answers(tried("ULMFiT", 0.8)) == ["With 250 labels the whole method is wrong on 20.0% of the documents."]


def test_of_other_variants_the_best_stands_beside_the_last() -> None:
    best, last = tried("classifier.lr=0.01", 0.80, 0.84, 0.82), tried("classifier.lr=0.1", 0.80, 0.80, 0.83)
    (said,) = variant_answers([*last, *best])
    assert said.startswith("The best of 2 settings is classifier.lr=0.01 with 250 labels: 82.0%")
    assert said.endswith("over the last, classifier.lr=0.1: +1.0 points (-5.6 to 7.6); which of the two is better cannot be told.")
    assert variant_answers(best)[0].endswith("right.")
