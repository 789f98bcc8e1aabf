"""What a study asks for: points, and the requests of the main job that its trials are."""

import pytest

from flows.study_request import AblationRequest, BenchmarkRequest, DataQuantityRequest, Study, chosen, numbers
from ulmfit.errors import UserError
from ulmfit.experiments.ablations import VARIANTS
from ulmfit.experiments.trial import REGIMES
from ulmfit.presets import FOLDS, small

GIVEN = {"corpus": "tickets.csv", "preset": "tiny", "trials": 2}


def data_quantity(**given: object) -> DataQuantityRequest:
    return DataQuantityRequest.model_validate({**GIVEN, "labels": "20,60", **given})


@pytest.mark.parametrize(
    ("given", "found"), [("50,100,all", [50, 100, None]), ("all, 100,50,100", [50, 100, None]), ("7", [7]), ("all", [None]), (" 5 ,", [5])]
)
def test_numbers(given: str, found: list[int | None]) -> None:
    assert numbers(given, "--labels", 1) == found


@pytest.mark.parametrize("given", ["", ",", "x", "1.5", "-5", "0", "1e3", "5;6", "²", "9999999999999"])
def test_what_is_no_number_is_told(given: str) -> None:
    with pytest.raises(UserError, match="--labels"):
        numbers(given, "--labels", 1)


def test_no_unlabelled_document_is_a_number_too() -> None:
    assert numbers("0,5", "--unlabelled", 0) == [0, 5]


@pytest.mark.parametrize("given", ["", "gpt", "general;domain"])
def test_names_that_are_none_are_told_with_those_there_are(given: str) -> None:
    with pytest.raises(UserError, match=r"--regimes.*general, domain, general\+domain"):
        chosen(given, REGIMES, "--regimes")


def test_every_method_meets_every_number_of_labels_and_only_language_models_a_regime() -> None:
    points = data_quantity(methods="ulmfit,tfidf", documents="0,all", regimes="general,domain,general+domain").points()
    assert [point.labels for point in points if point.method == "tfidf"] == [20, 60]
    assert not any(point.regime for point in points if point.method == "tfidf")
    tuned = [(point.regime, point.unlabelled) for point in points if point.method == "ulmfit" and point.labels == 20]
    assert tuned == [("general", 0), ("domain", 0), ("domain", None), ("general+domain", 0), ("general+domain", None)]


def test_a_trial_draws_labels_alone_where_the_language_model_reads_all_text() -> None:
    settings = [one.request.settings() for one in data_quantity(methods="ulmfit").asked()]
    assert {each.corpus for each in settings} == {settings[0].corpus} and {each.finetune for each in settings} == {settings[0].finetune}
    assert [(each.labels.number, each.labels.seed, each.classifier.seed) for each in settings] == [
        (20, 0, 0),
        (20, 1, 1),
        (60, 0, 0),
        (60, 1, 1),
    ]


def test_a_trial_with_less_text_cuts_the_corpus_itself_but_for_what_judges() -> None:
    settings = [one.request.settings() for one in data_quantity(methods="ulmfit", labels="20", documents="5").asked()]
    assert [(each.corpus.max_train, each.corpus.max_unlabelled, each.corpus.draw) for each in settings] == [(20, 5, 0), (20, 5, 1)]
    assert {each.corpus.seed for each in settings} == {0} and all(each.labels.number is None for each in settings)


def test_the_seed_of_a_study_is_that_of_its_first_trial() -> None:
    seeds = [one.request.settings().labels.seed for one in data_quantity(methods="tfidf", labels="20", seed=7).asked()]
    assert seeds == [7, 8]


def test_settings_of_the_user_hold_for_every_trial_and_those_of_a_point_win() -> None:
    asked = data_quantity(options=["classifier.lr=0.5", "labels.number=3"], oversample=True).asked()
    assert all(one.request.settings().classifier.lr == 0.5 and one.request.settings().labels.oversample for one in asked)
    assert {one.request.settings().labels.number for one in asked} == {20, 60}


def test_trials_leave_folds_out_unless_they_are_asked_for() -> None:
    found = [data_quantity(options=options).asked()[0].request.settings() for options in ([], ["classifier.folds=7"])]
    assert small().classifier.folds == FOLDS and [each.classifier.folds for each in found] == [None, 7]


@pytest.mark.parametrize(
    ("labels", "options", "validate"), [("100", [], 20), ("900", [], 100), ("all", [], None), ("900", ["classifier.max_valid=7"], 7)]
)
def test_few_labels_come_with_few_to_validate_by(labels: str, options: list[str], validate: int | None) -> None:
    (one, _) = data_quantity(methods="ulmfit", labels=labels, options=options).asked()
    assert one.request.settings().classifier.max_valid == validate


@pytest.mark.parametrize(("labels", "number"), [("all", None), ("500", 500)])
def test_an_ablation_is_of_one_number_of_labels(labels: str, number: int | None) -> None:
    points = AblationRequest.model_validate({**GIVEN, "labels": labels}).points()
    assert {point.labels for point in points} == {number} and len(points) == len(VARIANTS)
    with pytest.raises(UserError, match=f"--labels {labels},7: the tables of an ablation are of one number"):
        AblationRequest.model_validate({**GIVEN, "labels": f"{labels},7"}).points()


def test_a_benchmark_asks_for_the_same_of_each_corpus() -> None:
    request = BenchmarkRequest.model_validate({**GIVEN, "corpora": ["a.csv", "b.csv"], "labels": "9", "methods": "ulmfit,nbsvm"})
    assert [(one.request.corpus, one.trial.point.method) for one in request.asked()] == [
        (corpus, method) for corpus in ("a.csv", "b.csv") for method in ("ulmfit", "ulmfit", "nbsvm", "nbsvm")
    ]


def test_a_study_varies_any_setting() -> None:
    study = Study.model_validate({**GIVEN, "vary": {"classifier.lr": [0.1, 0.2], "classifier.schedule": ["cosine", "sgdr"]}})
    settings = [one.request.settings().classifier for one in study.asked()[::2]]
    assert [(each.lr, each.schedule) for each in settings] == [(0.1, "cosine"), (0.1, "sgdr"), (0.2, "cosine"), (0.2, "sgdr")]


def test_values_that_are_varied_arrive_as_they_are() -> None:
    values: dict[str, list[object]] = {
        "words": [True, None],
        "classifier.folds": [None, 5],
        "classifier.schedule": ["stlr"],
        "classifier.betas": [[0.7, 0.9]],
    }
    settings = [one.request.settings() for one in Study.model_validate({**GIVEN, "vary": values, "trials": 1}).asked()]
    assert [(each.words, each.classifier.folds) for each in settings] == [(True, None), (True, 5), (None, None), (None, 5)]
    assert {(each.classifier.schedule, each.classifier.betas) for each in settings} == {("stlr", (0.7, 0.9))}


def test_labels_are_a_field_of_a_study_and_not_varied() -> None:
    study = Study.model_validate({**GIVEN, "labels": 9, "vary": {"classifier.lr": [0.1, 0.2]}})
    assert {(one.trial.point.labels, one.request.settings().labels.number) for one in study.asked()} == {(9, 9)}
    for name in ("labels.number", "labels.seed", "classifier.seed"):
        with pytest.raises(UserError, match=f"vary: each trial draws {name} itself"):
            Study.model_validate({**GIVEN, "vary": {name: [1, 2]}}).points()


def test_the_decoder_needs_its_folder() -> None:
    with pytest.raises(UserError, match="--methods decoder: name the folder of a transformer with --decoder"):
        data_quantity(methods="tfidf,decoder").points()
    points = data_quantity(methods="tfidf,decoder", decoder="gpt").points()
    assert [(point.method, point.decoder) for point in points if point.labels == 20] == [("tfidf", None), ("decoder", "gpt")]


def test_by_choice_each_number_of_labels_follows_all_smaller_ones() -> None:
    points = data_quantity(labels="20,60,100,all", documents="0,all", methods="ulmfit,scratch,tfidf", active=True).points()
    chosen = [(point.method, point.labels, point.unlabelled, point.chosen_after) for point in points if point.chosen_after]
    assert chosen == [(method, labels, None, after) for method in ("ulmfit", "tfidf") for labels, after in ((60, (20,)), (100, (20, 60)))]
    assert [point for point in points if not point.chosen_after] == data_quantity(
        labels="20,60,100,all", documents="0,all", methods="ulmfit,scratch,tfidf"
    ).points()


@pytest.mark.parametrize("given", [{"labels": "20,all"}, {"methods": "nbsvm"}, {"methods": "ulmfit", "documents": "0,500"}])
def test_where_nothing_can_be_chosen_the_remedy_is_told(given: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"--active.*give --"):
        data_quantity(active=True, **given).points()
