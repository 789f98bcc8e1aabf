import json

from tests.report.example import summary_of
from ulmfit.report.summary import Summary


def test_a_summary_comes_back_as_it_was_written():
    summary = Summary.model_validate(summary_of(curves=["classify-forward"]))
    assert Summary.model_validate_json(summary.to_json()) == summary


def test_the_json_has_the_names_of_the_facts_and_no_others():
    plain = summary_of(registered=False)
    written = json.loads(Summary.model_validate(plain).to_json())
    assert written == plain | {"report": None, "decision": None, "slices": [], "reasons": {}, "suspects": None}


def test_numbers_that_are_not_finite_become_null():
    changed = summary_of()
    changed["stages"][0]["record"] = {"loss": float("nan"), "parts": [1.5, float("-inf")]}
    summary = Summary.model_validate(changed)
    assert summary.stages[0].figure("loss") is None
    assert json.loads(summary.to_json())["stages"][0]["record"] == {"loss": None, "parts": [1.5, None]}
