"""The gate: whether a challenger may take the champion's place, from both models' predictions for the same held-out rows.

``judge`` promotes a challenger that is shown to be good enough: better, or not worse by more than a margin. Wrong promotions stay below the
policy's alpha over all cycles together (``spending.py``), by an exact test of the paired difference (``paired.py``). It blocks one that is
shown to be worse, as a whole or on a slice (``slices.py``), or is less well calibrated, slower or larger. All else is held.
"""

from __future__ import annotations

import numpy as np

from ulmfit.evaluation import reasons
from ulmfit.evaluation.calibration import expected_calibration_error
from ulmfit.evaluation.comparable import Candidate, Rows, obstacles
from ulmfit.evaluation.metrics import Labels, decisions, hits_and_seen, macro_f1, right
from ulmfit.evaluation.paired import interval
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.predictions import Predictions
from ulmfit.evaluation.slice_losses import disagreement, slice_figures
from ulmfit.evaluation.spending import alpha_of_cycle
from ulmfit.evaluation.verdict import GateFigures, Sides, Verdict


def judge(rows: Rows, champion: Candidate, challenger: Candidate, earlier: int, policy: GatePolicy) -> Verdict:
    """The verdict on ``challenger``, after ``earlier`` comparisons of this model (verdicts that were ``compared``), 0 or more.

    What cannot be compared, too few rows among it, is held with its reasons; nothing is raised for what the models or the rows hold.
    """
    if obstacle := obstacles(rows, champion, challenger, policy.min_rows):
        return Verdict(outcome="held", reasons=obstacle)
    return decide(_figures(rows, champion, challenger, earlier + 1, policy), policy)


def decide(figures: GateFigures, policy: GatePolicy) -> Verdict:
    """The verdict that follows from the figures."""
    low, high = figures.difference.low, figures.difference.high
    assert low is not None and high is not None
    shown, worse = low >= -policy.allowed_loss, high <= -policy.allowed_loss
    evidence = reasons.evidence(figures, policy, shown=shown, worse=worse)
    if against := [evidence] * worse + list(reasons.faults(figures, policy)):
        return Verdict(outcome="blocked", reasons=against, figures=figures)
    if missing := [evidence] * (not shown) + list(reasons.unmeasured(figures, policy)):
        return Verdict(outcome="held", reasons=missing, figures=figures)
    return Verdict(outcome="promoted", reasons=[evidence], figures=figures)


def _figures(rows: Rows, champion: Candidate, challenger: Candidate, cycle: int, policy: GatePolicy) -> GateFigures:
    old, new = champion.ordered(rows.names), challenger.ordered(rows.names)
    hits = right(rows.labels, old.probabilities, old.thresholds), right(rows.labels, new.probabilities, new.thresholds)
    found, alpha = disagreement(*hits), alpha_of_cycle(cycle, policy.alpha)
    error = lambda side: expected_calibration_error(side.probabilities, rows.labels)
    return GateFigures(
        cycle=cycle,
        alpha=alpha,
        disagreement=found,
        difference=interval(found, alpha, -policy.allowed_loss),
        accuracy=Sides(champion=float(hits[0].mean()), challenger=float(hits[1].mean())),
        macro_f1=Sides(champion=_macro_f1(rows.labels, old), challenger=_macro_f1(rows.labels, new)),
        calibration_error=Sides(champion=error(old), challenger=error(new)),
        seconds=Sides(champion=_measured(champion.seconds), challenger=_measured(challenger.seconds)),
        bytes=Sides(champion=_measured(champion.bytes), challenger=_measured(challenger.bytes)),
        slices=slice_figures(hits, rows.slices, policy.slice_margin, policy.min_slice_rows),
    )


def _measured(value: float | None) -> float | None:
    return value if value is not None and 0 <= value < float("inf") else None


def _macro_f1(labels: Labels, predictions: Predictions) -> float:
    if labels.ndim == 2:
        return macro_f1(*hits_and_seen(labels, decisions(predictions.probabilities, predictions.thresholds)))
    classes = np.arange(predictions.probabilities.shape[1])
    return macro_f1(*hits_and_seen(labels[:, None] == classes, predictions.probabilities.argmax(1)[:, None] == classes))
