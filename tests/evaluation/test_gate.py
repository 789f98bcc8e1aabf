"""Verdicts: what is promoted, blocked and held, and the sentences that say why."""

from dataclasses import replace

import numpy as np
import pytest

from ulmfit.evaluation.comparable import Candidate, Rows
from ulmfit.evaluation.gate import judge
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.predictions import Predictions

NAMES = ["bad", "good"]
N = 1000
FREE = GatePolicy(max_latency_factor=None, max_size_factor=None)
NOT_WORSE = FREE.model_copy(update={"mode": "not-worse"})


def rows(n=N, **slices):
    return Rows(np.arange(n) % 2, NAMES, slices)


def candidate(wrong, n=N):
    """A version that is right but on the row numbers ``wrong``, and as sure as it is right."""
    predicted, sure = np.arange(n) % 2, 1 - len(wrong) / n
    predicted[list(wrong)] ^= 1
    shares = np.full((n, 2), 1 - sure)
    shares[np.arange(n), predicted] = sure
    return Candidate("multi-class", NAMES, Predictions(shares), seconds=0.01, bytes=1000)


CHAMPION = candidate(range(100))
SAME_ROWS = " on 1,000 held-out rows, "


def test_a_challenger_that_is_shown_to_be_better_is_promoted():
    verdict = judge(rows(), CHAMPION, candidate(range(50, 100)), 0, FREE)
    assert verdict.outcome == "promoted"
    assert verdict.reasons == [
        "The challenger is shown to be better: accuracy from 90.0% to 95.0% on 1,000 held-out rows, "
        "+5.00 points (+3.05 to +7.53, valid over all cycles); "
        "50 rows are right in the challenger alone, 0 in the champion alone."
    ]


def test_a_small_gain_is_held_and_a_loss_is_blocked():
    gain = judge(rows(), CHAMPION, candidate(range(5, 100)), 0, FREE)
    assert gain.outcome == "held" and gain.reasons[0].startswith(
        "It is not shown that the challenger is better: accuracy from 90.0% to 90.5%"
    )
    loss = judge(rows(), CHAMPION, candidate(range(150)), 0, FREE)
    assert loss.outcome == "blocked" and loss.reasons[0].startswith("The challenger is shown to be worse: accuracy from 90.0% to 85.0%")


@pytest.mark.parametrize(("wrong", "outcome"), [(range(100), "promoted"), (range(25, 125), "held"), (range(160), "blocked")])
def test_the_mode_not_worse_promotes_an_equal_and_needs_evidence(wrong, outcome):
    verdict = judge(rows(), CHAMPION, candidate(wrong), 0, NOT_WORSE)
    assert verdict.outcome == outcome and "worse by" in verdict.reasons[0]


def test_other_labels_are_held_without_spending_alpha():
    verdict = judge(rows(), CHAMPION, replace(CHAMPION, names=["bad", "fine"]), 3, FREE)
    assert verdict.outcome == "held" and not verdict.compared
    assert verdict.reasons[0] == "The labels differ: only the champion has 'good', only the challenger 'fine'."
