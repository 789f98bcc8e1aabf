"""Effect sizes of new text against a reference (Cohen 1988), each with the chance of such an effect if nothing had changed.

Numbers of documents: Cohen's d, and Welch's test. Documents beyond a bound that few of the reference exceed: Cohen's h of the share, and its
exact distribution, whatever the figures' own (that of an order statistic, beta-binomial). Labels: Cohen's w and the chi-square test of two
samples. Accuracy: Cohen's h and Fisher's exact test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, chi2, hypergeom, t

from ulmfit.monitoring.drift_figures import Hits

LEAST_SPREAD = 1e-3  # of a figure's documents: smaller differences are nothing that one must know of
OUTLYING = 0.01  # share of the reference beyond the bound
EXPECTED = 5  # documents of a label in the smaller sample, at least; rarer labels are counted together

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """``value`` of the new text and of the ``reference``, ``size`` of the effect, its ``p_value``; ``label``: whose shares the values are."""

    value: float
    reference: float
    size: float
    p_value: float
    label: str | None = None


def mean_shift(new: Floats, reference: Floats, wander: float = 0.0) -> Effect:
    """Cohen's d of the means, two-sided. ``wander``: the standard deviation of d from cycle to cycle, beyond chance (see ``history.py``)."""
    means, variances, rows = zip(*((side.mean(), side.var(ddof=1), len(side)) for side in (new, reference)), strict=True)
    pooled = np.sqrt(np.dot(np.subtract(rows, 1), variances) / (sum(rows) - 2)).clip(LEAST_SPREAD)
    errors = np.maximum(variances, LEAST_SPREAD**2) / rows
    error = np.sqrt(errors.sum() + (wander * pooled) ** 2)
    freedom = errors.sum() ** 2 / (errors**2 / np.subtract(rows, 1)).sum()
    difference = means[0] - means[1]
    return Effect(float(means[0]), float(means[1]), float(difference / pooled), float(2 * t.sf(abs(difference) / error, freedom)))


def outlying_share(new: Floats, reference: Floats) -> Effect:
    """Cohen's h of the share of documents above the bound, against the reference's share ``OUTLYING``; upwards."""
    beyond = max(1, round(OUTLYING * len(reference)))
    bound = np.partition(reference, -beyond)[-beyond]
    found, share = int((new > bound).sum()), beyond / (len(reference) + 1)
    p_value = betabinom.sf(found - 1, len(new), beyond, len(reference) - beyond + 1)
    return Effect(found / len(new), share, cohens_h(found / len(new), share), float(p_value))


def label_shift(new: Mapping[str, int], reference: Mapping[str, int]) -> Effect:
    """Cohen's w of the labels' shares, less what chance adds to it; the values are the shares of the label that moves the most."""
    totals = sum(new.values()), sum(reference.values())
    names = sorted({*reference, *new})
    table = np.array([[new.get(label, 0), reference.get(label, 0)] for label in names], np.float64)
    shares = table / totals
    moved = int(np.abs(shares[:, 0] - shares[:, 1]).argmax())
    frequent = table.sum(1) * min(totals) / sum(totals) >= EXPECTED
    classes = np.vstack([table[frequent], table[~frequent].sum(0)]) if not frequent.all() else table
    classes = classes[classes.sum(1) > 0]
    expected = classes.sum(1, keepdims=True) * (np.array(totals) / sum(totals))
    statistic, freedom = float(((classes - expected) ** 2 / expected).sum()), len(classes) - 1
    rows = totals[0] * totals[1] / sum(totals)
    size, p_value = np.sqrt(max(0.0, statistic - freedom) / rows), float(chi2.sf(statistic, freedom)) if freedom else 1.0
    return Effect(float(shares[moved, 0]), float(shares[moved, 1]), float(size), p_value, names[moved])


def accuracy_change(new: Hits, reference: Hits) -> Effect:
    """Cohen's h of the accuracies, negative for a loss; the p-value is that of a loss."""
    value, before = new.right / new.rows, reference.right / reference.rows
    p_value = hypergeom.cdf(new.right, new.rows + reference.rows, new.right + reference.right, new.rows)
    return Effect(value, before, cohens_h(value, before), float(p_value))


def cohens_h(share: float, reference: float) -> float:
    """The difference of two shares, on a scale on which equal differences are as easy to see everywhere."""
    return float(2 * (np.arcsin(np.sqrt(share)) - np.arcsin(np.sqrt(reference))))
