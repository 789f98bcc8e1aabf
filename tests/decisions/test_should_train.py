"""When a model is trained, and how: every reason alone, none of them, and what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ulmfit.decisions.retrain_policy import RetrainPolicy
from ulmfit.decisions.should_train import Situation, should_train

POLICY = RetrainPolicy(min_documents=100, min_labels=20, max_age_days=10, cold_every=3)
QUIET = Situation(documents=99, labels=19, days=9.9)


def test_below_every_limit_nothing_is_done_and_each_limit_is_named() -> None:
    choice = should_train(QUIET, POLICY)
    assert choice.training == "none"
    assert choice.reasons == (
        "99 new documents, and the policy asks for 100.",
        "19 new or corrected labels, and the policy asks for 20.",
        "The last training is 9.9 days old, and the policy asks for 10.",
        "No drift is noticed.",
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(QUIET, documents=100), "100 new documents, and 100 are enough."),
        (replace(QUIET, labels=20), "20 new or corrected labels, and 20 are enough."),
        (replace(QUIET, days=10.0), "The last training is 10.0 days old, and there is new text; 10 days are old enough."),
        (replace(QUIET, drift=("Perplexity is up.",)), "Perplexity is up."),
        (Situation(documents=1, labels=0), "The model was never trained on this text, and 1 document landed."),
    ],
)
def test_one_reason_is_enough(found: Situation, said: str) -> None:
    choice = should_train(found, POLICY)
    assert choice.training == "warm" and choice.reasons == (said, "It goes on from the champion.")


@pytest.mark.parametrize("days", [None, 1.0, 1000.0])
def test_without_anything_new_nothing_is_done_however_old_the_model_is(days: float | None) -> None:
    choice = should_train(Situation(documents=0, labels=0, days=days, drift=("x",)), POLICY)
    assert choice.training == "none" and len(choice.reasons) == 1


def test_a_person_may_force_a_training_whatever_the_figures_say() -> None:
    for found in (QUIET, Situation(documents=0, labels=0, days=1.0)):
        assert should_train(found, POLICY, forced=True).training == "warm"


@pytest.mark.parametrize(
    ("changed", "training", "said"),
    [
        ({"warm": 1}, "warm", "It goes on from the champion."),
        ({"warm": 2}, "cold", "It starts anew, as every 3rd training does."),
        ({"new_words": True}, "cold", "It starts anew: the vocabulary no longer fits the text."),
        ({"goes_on": "there is no champion yet"}, "cold", "It starts anew: there is no champion yet."),
    ],
)
def test_a_training_goes_on_from_the_champion_unless_it_is_time_to_start_anew(changed: dict, training: str, said: str) -> None:
    choice = should_train(replace(QUIET, documents=500, **changed), POLICY)
    assert (choice.training, choice.reasons[-1]) == (training, said)


def test_every_training_may_start_anew() -> None:
    choice = should_train(replace(QUIET, documents=500), POLICY.model_copy(update={"cold_every": 1}))
    assert choice.training == "cold" and choice.reasons[-1] == "It starts anew, as every training does."


def test_no_age_is_a_reason_where_the_policy_has_none() -> None:
    policy = POLICY.model_copy(update={"max_age_days": None})
    choice = should_train(replace(QUIET, days=5000.0), policy)
    assert choice.training == "none" and not any("old" in reason for reason in choice.reasons)
