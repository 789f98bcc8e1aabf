"""Drift is noticed in the figure that moved and in no other, seldom without cause, and said in plain words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.monitoring.figures import text
from ulmfit.monitoring.drift import drift
from ulmfit.monitoring.drift_figures import DriftFigures, Hits, TextFigures
from ulmfit.monitoring.policy import DriftPolicy

POLICY = DriftPolicy()
REFERENCE = text(1500, 0, hits=(1350, 1500))
NAMES = list(DriftFigures.model_fields)


def noticed(found: DriftFigures) -> set[str]:
    return {name for name, figure in found.by_name.items() if figure.noticed}


@pytest.mark.parametrize(
    ("moved", "figures"),
    [
        ({}, set()),
        ({"loss": 4.3}, {"perplexity"}),
        ({"loss": 3.7}, {"perplexity"}),  # text that says the same again and again
        ({"unknown": 0.05}, {"unknown"}),
        ({"unknown": 0.015}, {"unknown"}),
        ({"length": 4.6}, {"length"}),
        ({"length": 5.4}, {"length"}),
        ({"labels": {"ham": 240, "spam": 60}}, {"labels"}),
        ({"labels": {"ham": 150, "spam": 130, "eggs": 20}}, {"labels"}),  # a new one
        ({"labels": {"ham": 300}}, {"labels"}),  # one that is gone
        ({"hits": (230, 300)}, {"accuracy"}),
        ({"hits": (299, 300)}, set()),  # better is no drift
    ],
)
def test_what_moved_is_noticed(moved, figures):
    """Any of it may leave documents that are unlike the known ones."""
    assert noticed(drift(REFERENCE, text(300, 1, **moved), POLICY)) - {"outlying"} == figures


def test_a_few_strange_documents_are_noticed_before_any_mean_moves():
    assert noticed(drift(REFERENCE, text(600, 1, strange=0.04), POLICY)) == {"outlying"}


def test_false_alarms_are_as_rare_as_the_policy_says():
    """60 references, each with 10 cycles: 600 cycles without drift, of which 1.2 may alarm. The chance of more than 6 is 0.03%."""
    alarms = sum(
        bool(drift(reference, text(rows, 5_000 + 10 * seed + cycle, hits=hits), POLICY).noticed)
        for seed in range(60)
        for reference in [text(600, seed, hits=(540, 600))]
        for cycle in range(10)
        for rows in [(40, 120, 400)[cycle % 3]]
        for hits in [(int(np.random.default_rng(seed * 10 + cycle).binomial(rows, 0.9)), rows)]
    )
    assert alarms <= 6


def test_a_larger_share_of_strange_documents_is_noticed_after_fewer():
    first = {}
    for share in (0.05, 0.2, 0.5):
        stream = text(2000, 7, strange=share)
        cut = lambda n, whole=stream: whole.model_copy(update={name: getattr(whole, name)[:n] for name in ("losses", "unknown", "lengths")})
        first[share] = next(n for n in range(30, 2000, 10) if drift(REFERENCE, cut(n), POLICY).outlying.noticed)
    assert first[0.05] >= first[0.2] >= first[0.5] and first[0.5] <= 40 and first[0.05] <= 300


def test_too_few_documents_are_said_not_judged():
    few = TextFigures(losses=(9.0,) * 5, unknown=(0.9,) * 5, lengths=(3,) * 5, labels={"eggs": 5}, hits=Hits(right=0, rows=5))
    for found in (drift(REFERENCE, few, POLICY), drift(few, REFERENCE, POLICY)):
        for figure in found.by_name.values():
            assert figure.effect is None and figure.p_value is None and not figure.noticed and "5" in figure.says
    assert "5 new documents are fewer than the 30" in drift(REFERENCE, few, POLICY).perplexity.says
    assert "5 reference documents" in drift(few, REFERENCE, POLICY).perplexity.says


def test_text_without_labels_has_figures_of_text_alone_and_they_share_all_of_the_level():
    unlabelled = text(200, 3, labels={}).model_copy(update={"hits": None})
    found = drift(REFERENCE, unlabelled, POLICY)
    assert found.labels.effect is None and found.accuracy.effect is None
    assert found.perplexity.level == pytest.approx(POLICY.false_alarms / 4)
    assert drift(REFERENCE, text(200, 3), POLICY).perplexity.level == pytest.approx(POLICY.false_alarms / 6)


@pytest.mark.parametrize(
    "new",
    [
        TextFigures(losses=(), unknown=(), lengths=(), labels={}),
        TextFigures(losses=(4.0,) * 100, unknown=(0.0,) * 100, lengths=(7,) * 100, labels={"ham": 100}, hits=Hits(right=100, rows=100)),
        TextFigures(losses=(40.0,) * 100, unknown=(1.0,) * 100, lengths=(0,) * 100, labels={"": 100}, hits=Hits(right=0, rows=100)),
        TextFigures(losses=(4.0,) * 60, unknown=(0.0,) * 60, lengths=(9,) * 60, labels={str(n): 1 for n in range(60)}),
    ],
)
def test_text_of_any_kind_has_figures_that_are_json(new):
    for pair in ((REFERENCE, new), (new, REFERENCE), (new, new)):
        found = drift(*pair, POLICY)
        assert DriftFigures.model_validate_json(json.dumps(json.loads(found.model_dump_json()), allow_nan=False)) == found
    assert not drift(new, new, POLICY).noticed


def test_a_limit_of_effect_holds_back_what_is_sure_but_small():
    slight = text(20_000, 1, loss=4.03)
    found = drift(text(20_000, 2), slight, POLICY).perplexity
    assert found.p_value < 1e-6 and not found.noticed and "too small to count" in found.says
    assert drift(text(20_000, 2), slight, DriftPolicy(min_perplexity=0.05)).perplexity.noticed


def test_weeks_that_differ_among_themselves_widen_what_counts_as_chance():
    weeks = [text(400, 10 + week, loss=4.0 + move) for week, move in enumerate((0.1, -0.1, 0.12, -0.08, 0.09, -0.1, 0.05))]
    earlier = []
    for week in weeks:
        earlier.append(drift(REFERENCE, week, DriftPolicy(min_perplexity=5.0)))
    new = text(400, 30, loss=4.12)
    assert drift(REFERENCE, new, POLICY).perplexity.noticed
    assert not drift(REFERENCE, new, POLICY, earlier).perplexity.noticed
    assert drift(REFERENCE, text(400, 31, loss=5.0), POLICY, earlier).perplexity.noticed


def test_a_slow_drift_does_not_hide_itself():
    earlier: list[DriftFigures] = []
    for cycle in range(30):
        found = drift(REFERENCE, text(200, 40 + cycle, loss=4.0 + 0.01 * cycle), POLICY, earlier)
        if found.perplexity.noticed:
            return
        earlier.append(found)
    pytest.fail("a drift of three quarters of a standard deviation is not noticed")


def test_sentences_say_what_moved_and_whether_it_counts():
    found = drift(REFERENCE, text(300, 1, labels={"ham": 240, "spam": 60}, strange=0.1), POLICY)
    assert found.labels.says.startswith("The share of the label 'ham' rises from 50.0% to 80.0% on 300 new documents: drift is noticed")
    assert "unlike the known ones rises from 1.0% to " in found.outlying.says and "drift is noticed (Cohen's h" in found.outlying.says
    assert "no more than chance explains" in found.length.says
    assert [figure for figure in found.by_name.values() if figure.noticed] == found.noticed
    assert all("\n" not in figure.says for figure in found.by_name.values())


def test_a_label_of_any_letters_stands_in_quotes():
    found = drift(REFERENCE, text(300, 1, labels={"[red]\nham": 200, "spam": 100}), POLICY)
    assert "\n" not in found.labels.says and found.labels.label == "[red]\nham"
