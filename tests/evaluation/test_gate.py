"""Verdicts: what is promoted, blocked and held, and the sentences that say why."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from ulmfit.evaluation.comparable import Candidate, Rows
from ulmfit.evaluation.gate import judge
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.predictions import Predictions
from ulmfit.evaluation.spending import alpha_of_cycle
from ulmfit.evaluation.verdict import Verdict

NAMES = ["bad", "good"]
N = 1000
BETTER, NOT_WORSE = GatePolicy(), GatePolicy(mode="not-worse")


def truth(n=N):
    return np.arange(n) % 2


def rows(n=N, **slices):
    return Rows(truth(n), NAMES, slices)


def first(count):
    """A slice: the first rows."""
    return np.arange(N) < count


def candidate(wrong, n=N, sure=None):
    """A version that is right but on the row numbers ``wrong``, and as sure as it is right."""
    predicted, sure = truth(n), (1 - len(wrong) / n if sure is None else sure)
    predicted[list(wrong)] ^= 1
    shares = np.full((n, 2), 1 - sure)
    shares[np.arange(n), predicted] = sure
    return Candidate("multi-class", NAMES, Predictions(shares), seconds=0.01, bytes=1000)


def with_shares(side, shares):
    return replace(side, predictions=Predictions(shares))


CHAMPION, GAIN = candidate(range(100)), candidate(range(50, 100))
PROMOTED = (
    "The challenger is shown to be better: accuracy from 90.0% to 95.0% on 1,000 held-out rows, +5.00 points "
    "(+3.05 to +7.53, valid over all cycles); 50 rows are right in the challenger alone, 0 in the champion alone."
)


def test_a_challenger_that_is_shown_to_be_better_is_promoted():
    verdict = judge(rows(), CHAMPION, GAIN, 0, BETTER)
    assert (verdict.outcome, verdict.reasons) == ("promoted", [PROMOTED])


def test_a_small_gain_is_held():
    verdict = judge(rows(), CHAMPION, candidate(range(5, 100)), 0, BETTER)
    assert verdict.outcome == "held" and verdict.compared
    assert verdict.reasons[0].startswith(
        "It is not shown that the challenger is better: accuracy from 90.0% to 90.5% on 1,000 held-out rows, +0.50 points (-"
    )


def test_a_loss_is_blocked():
    verdict = judge(rows(), CHAMPION, candidate(range(150)), 0, BETTER)
    assert verdict.outcome == "blocked" and len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith(
        "The challenger is shown to be worse: accuracy from 90.0% to 85.0% on 1,000 held-out rows, -5.00 points (-"
    )


@pytest.mark.parametrize(
    ("wrong", "outcome", "head"),
    [
        (range(100), "promoted", "The challenger is shown to be no more than 2 points worse: accuracy from 90.0% to 90.0%"),
        (range(60), "promoted", "The challenger is shown to be no more than 2 points worse: accuracy from 90.0% to 94.0%"),
        (range(25, 125), "held", "It is not shown that the challenger is no more than 2 points worse: accuracy from 90.0% to 90.0%"),
        (range(160), "blocked", "The challenger is shown to be more than 2 points worse: accuracy from 90.0% to 84.0%"),
    ],
)
def test_the_mode_not_worse_promotes_an_equal_where_there_is_evidence(wrong, outcome, head):
    verdict = judge(rows(), CHAMPION, candidate(wrong), 0, NOT_WORSE)
    assert verdict.outcome == outcome and verdict.reasons[0].startswith(head)


def test_later_cycles_spend_less_alpha_and_ask_for_more():
    challenger = candidate(range(17, 105))  # 17 rows to 5
    verdicts = [judge(rows(), CHAMPION, challenger, earlier, NOT_WORSE.model_copy(update={"margin": 0.005})) for earlier in (0, 199)]
    assert [verdict.outcome for verdict in verdicts] == ["promoted", "held"]
    assert [(verdict.figures.cycle, verdict.figures.alpha) for verdict in verdicts] == [
        (1, alpha_of_cycle(1, 0.05)),
        (200, alpha_of_cycle(200, 0.05)),
    ]


# --- what cannot be compared is held, and spends nothing


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["bad", "fine"], "The labels differ: only the champion has 'good', only the challenger 'fine'."),
        (["bad", "good", "so so"], "The labels differ: only the challenger has 'so so'."),
        (["good"], "The labels differ: only the champion has 'bad'."),
        (["bad", "good", *"abcdef"], "The labels differ: only the challenger has 'a', 'b', 'c', 'd', 'e' and 1 more."),
        (["bad", "[red]good\n"], "The labels differ: only the champion has 'good', only the challenger '[red]good\\n'."),
    ],
)
def test_other_labels_are_held(names, reason):
    other = replace(CHAMPION, names=names, predictions=Predictions(np.full((N, len(names)), 1 / len(names))))
    verdict = judge(rows(), CHAMPION, other, 3, BETTER)
    assert verdict == Verdict(outcome="held", reasons=[reason, "The challenger's labels are not those of the held-out rows."])
    assert not verdict.compared


@pytest.mark.parametrize("n", [0, 1, 199])
def test_too_few_held_out_rows_are_held(n):
    verdict = judge(rows(n), candidate([], n, 1.0), candidate([], n, 1.0), 0, BETTER)
    assert verdict == Verdict(outcome="held", reasons=[f"Too few held-out rows: {n}, and the policy asks for at least 200."])


def test_labels_in_another_order_are_compared():
    turned = replace(GAIN, names=NAMES[::-1], predictions=Predictions(GAIN.predictions.probabilities[:, ::-1]))
    assert judge(rows(), CHAMPION, turned, 0, BETTER) == judge(rows(), CHAMPION, GAIN, 0, BETTER)


def test_another_task_is_held():
    verdict = judge(rows(), CHAMPION, replace(GAIN, task="multi-label"), 0, BETTER)
    assert verdict.outcome == "held"
    assert verdict.reasons == [
        "The tasks differ: the champion is multi-class, the challenger multi-label.",
        "The challenger is multi-label, the held-out rows are multi-class.",
    ]


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        (np.full((900, 2), 0.5), "The challenger's probabilities are 900 x 2, and should be 1,000 rows x 2 labels."),
        (np.full((N, 3), 0.5), "The challenger's probabilities are 1,000 x 3, and should be 1,000 rows x 2 labels."),
        (np.full((N, 2), np.nan), "The challenger's probabilities are not finite in 1,000 of the 1,000 rows."),
        (
            np.where(np.arange(2 * N).reshape(N, 2) == 7, np.inf, 0.5),
            "The challenger's probabilities are not finite in 1 of the 1,000 rows.",
        ),
    ],
)
def test_predictions_that_do_not_fit_the_rows_are_held(shares, reason):
    assert judge(rows(), CHAMPION, with_shares(GAIN, shares), 0, BETTER) == Verdict(outcome="held", reasons=[reason])


def test_labels_outside_the_names_are_held():
    strange = Rows(np.where(np.arange(N) < 3, -1, truth()), NAMES)
    assert judge(strange, CHAMPION, GAIN, 0, BETTER).reasons == ["A label outside the names occurs in 3 of the 1,000 held-out rows."]


# --- what speaks against a challenger that is better


def test_a_slice_that_gets_worse_blocks_a_gain():
    wrong = [*range(900, 930), *range(30, 70)]  # the champion's faults are the first 100; the last 100 rows get 30 worse
    verdict = judge(rows(new=np.arange(N) >= 900, old=first(900)), CHAMPION, candidate(wrong), 0, NOT_WORSE)
    assert verdict.outcome == "blocked"
    assert verdict.reasons == [
        "The slice 'new' gets worse: accuracy from 100.0% to 70.0% on 100 rows, by more than the 5 points that the policy allows "
        "and more than chance explains (p = 9.3e-10)."
    ]
    assert [found.worse for found in verdict.figures.slices] == [True, False]


def test_a_slice_with_few_rows_does_not_block():
    assert judge(rows(few=np.arange(N) >= 960), CHAMPION, candidate(range(960, 985)), 0, BETTER).outcome == "promoted"


def test_worse_calibration_blocks_a_gain():
    verdict = judge(rows(), CHAMPION, candidate(range(50, 100), sure=0.8), 0, BETTER)
    assert verdict.reasons == ["The calibration error rises from 0.0% to 15.0%, by more than the 3 points that the policy allows."]
    assert verdict.outcome == "blocked"
    lenient = BETTER.model_copy(update={"max_calibration_worsening": 0.2})
    assert judge(rows(), CHAMPION, candidate(range(50, 100), sure=0.8), 0, lenient).outcome == "promoted"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"seconds": 0.0201},
            "The latency rises from 0.01 to 0.0201 seconds per text, by more than the factor of 2 that the policy allows.",
        ),
        ({"bytes": 2001}, "The size rises from 1,000 to 2,001 bytes, by more than the factor of 2 that the policy allows."),
    ],
)
def test_a_slower_or_larger_model_blocks_a_gain(change, reason):
    verdict = judge(rows(), CHAMPION, replace(GAIN, **change), 0, BETTER)
    assert (verdict.outcome, verdict.reasons) == ("blocked", [reason])
    free = GatePolicy(max_latency_factor=None, max_size_factor=None)
    assert judge(rows(), CHAMPION, replace(GAIN, **change), 0, free).outcome == "promoted"


@pytest.mark.parametrize("value", [None, float("nan"), -1.0])
@pytest.mark.parametrize(("field", "name"), [("seconds", "latency"), ("bytes", "size")])
def test_a_limit_on_what_was_not_measured_holds(field, name, value):
    verdict = judge(rows(), replace(CHAMPION, **{field: value}), GAIN, 0, BETTER)
    assert (verdict.outcome, verdict.reasons) == ("held", [f"The champion's {name} is not known, and the policy limits it."])
    free = BETTER.model_copy(update={f"max_{name}_factor": None})
    assert judge(rows(), replace(CHAMPION, **{field: value}), GAIN, 0, free).outcome == "promoted"


# --- several labels, invariants, settings


def several(wrong):
    """Three labels of any number; the first of them is wrong on the rows ``wrong``."""
    decided = truth_of_several()
    decided[list(wrong), 0] ^= True
    return Candidate("multi-label", list("abc"), Predictions(np.where(decided, 0.95, 0.05), thresholds=np.array([0.9, 0.5, 0.1])), 0.01, 1)


def truth_of_several():
    return (np.arange(N)[:, None] // np.array([1, 2, 4])) % 2 == 1


def test_a_row_with_several_labels_is_right_if_all_are():
    held_out = Rows(truth_of_several(), list("abc"))
    verdict = judge(held_out, several(range(100)), several(range(50, 100)), 0, BETTER)
    assert verdict.outcome == "promoted" and verdict.reasons == [PROMOTED]
    assert verdict.figures.macro_f1.champion == pytest.approx((0.9 + 1 + 1) / 3)
    columns = [2, 0, 1]
    turned = Predictions(several(range(50, 100)).predictions.probabilities[:, columns], thresholds=np.array([0.1, 0.9, 0.5]))
    assert judge(held_out, several(range(100)), Candidate("multi-label", list("cab"), turned, 0.01, 1), 0, BETTER) == verdict


@pytest.mark.parametrize("policy", [BETTER, NOT_WORSE], ids=lambda policy: policy.mode)
def test_the_order_of_rows_does_not_matter(policy):
    order = np.random.default_rng(0).permutation(N)
    mixed = [with_shares(side, side.predictions.probabilities[order]) for side in (CHAMPION, GAIN)]
    there, here = (
        judge(rows(some=first(300)), CHAMPION, GAIN, 4, policy),
        judge(Rows(truth()[order], NAMES, {"some": first(300)[order]}), *mixed, 4, policy),
    )
    assert here.reasons == there.reasons and here.outcome == there.outcome
    assert here.figures.disagreement == there.figures.disagreement and here.figures.slices == there.figures.slices


def test_swapped_sides_give_the_mirrored_figures():
    there, back = judge(rows(), CHAMPION, GAIN, 0, BETTER).figures, judge(rows(), GAIN, CHAMPION, 0, BETTER).figures
    assert back.disagreement == there.disagreement.mirrored()
    assert (back.difference.low, back.difference.high) == pytest.approx((-there.difference.high, -there.difference.low), abs=1e-4)
    assert judge(rows(), GAIN, CHAMPION, 0, BETTER).outcome == "blocked"


def test_a_verdict_survives_json():
    verdict = judge(rows(some=first(300)), CHAMPION, GAIN, 0, BETTER)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


@pytest.mark.parametrize(
    "setting",
    [
        {"mode": "best"},
        {"alpha": 0.0},
        {"alpha": 0.5},
        {"margin": 0.0},
        {"margin": 1.0},
        {"slice_margin": -0.1},
        {"min_rows": 0},
        {"min_slice_rows": 0},
        {"max_calibration_worsening": float("nan")},
        {"max_latency_factor": float("inf")},
        {"max_size_factor": 0.0},
        {"marign": 0.1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(setting):
    with pytest.raises(ValidationError):
        GatePolicy(**setting)
