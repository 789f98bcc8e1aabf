import json

import pytest

from tests.evaluation.systems import CONFIG, documents, predicted, several, systems
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation.evaluate import evaluate
from ulmfit.evaluation.results import Results


@pytest.mark.parametrize("labels", ["one", "several"])
def test_results_come_back_as_they_were_written(labels):
    truth, found, *_ = systems() if labels == "one" else several()
    results = evaluate(predicted(found), documents(truth), CONFIG)
    assert Results.model_validate_json(results.to_json()) == results and "NaN" not in results.to_json()


def test_names_that_a_later_version_adds_are_ignored():
    labels, found = systems()
    results = evaluate(predicted(found), documents(labels), CONFIG)
    more = json.loads(results.to_json())
    more["later"] = more["mistakes"][0]["later"] = 1
    assert Results.model_validate_json(json.dumps(more)) == results


def test_the_record_has_the_values_of_all_scores():
    labels, found = systems()
    results = evaluate(predicted(found), documents(labels), CONFIG)
    record = results.record()
    assert record.scores[ENSEMBLE]["macro_f1"] == results.systems[ENSEMBLE]["macro_f1"].value
    assert record.calibration == results.calibration.systems and set(record.scores) == set(found)
