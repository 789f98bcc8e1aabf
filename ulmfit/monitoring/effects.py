"""Effect sizes of new text against a reference (Cohen 1988), each with the chance of such an effect if nothing had changed.

Figures of documents: Cohen's d, and Welch's test. Documents that lie further out than nearly all of the reference: Cohen's h of their share, and
its exact distribution, whatever the figures' own (that of an order statistic, beta-binomial). Labels: Cohen's w and the chi-square test of two
samples, rare ones apart. Accuracy: Cohen's h and Fisher's exact test.
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
EXPECTED = 5  # documents of a label in the smaller sample, at least; rarer labels are counted together (Cochran 1954)

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
    """Cohen's h of the share of documents [N, F] that lie further from the reference's middle than a share ``OUTLYING`` of its own; upwards.

    The distance is Mahalanobis's, in F figures. That of a document of the reference is measured from the others, as that of a new one is.
    """
    middle, spread = reference.mean(0), np.cov(reference.T) + LEAST_SPREAD**2 * np.eye(reference.shape[1])
    inverse, rows = np.linalg.inv(spread), len(reference)
    distances = lambda side: np.einsum("nf,fg,ng->n", side - middle, inverse, side - middle)
    own = distances(reference)
    others = rows**2 * (rows - 2) / (rows - 1) ** 3 * own / np.maximum(1 - rows * own / (rows - 1) ** 2, LEAST_SPREAD)
    return share_above(distances(new), others)


def share_above(new: Floats, reference: Floats) -> Effect:
    """Cohen's h of the share of ``new`` [N] above the bound that a share ``OUTLYING`` of the reference reaches. The p-value is exact."""
    beyond = max(1, round(OUTLYING * len(reference)))
    bound = np.partition(reference, -beyond)[-beyond]
    found, share = int((new > bound).sum()), beyond / (len(reference) + 1)
    p_value = betabinom.sf(found - 1, len(new), beyond, len(reference) - beyond + 1)
    return Effect(found / len(new), share, cohens_h(found / len(new), share), float(p_value))


def label_shift(new: Mapping[str, int], reference: Mapping[str, int]) -> Effect:
    """Cohen's w of the labels' shares, less what chance adds to it; the values are the shares of the label that moves the most.

    The chi-square test compares the frequent labels among each other; whether there are more documents of rare and new labels is Fisher's exact
    test, for one document of a label that nobody expects is no drift. The p-value is that of the surer one, doubled.
    """
    names = sorted({*reference, *new})
    table = np.array([[new.get(label, 0), reference.get(label, 0)] for label in names], np.float64)
    totals = table.sum(0)
    shares = table / totals
    moved = int(np.abs(shares[:, 0] - shares[:, 1]).argmax())
    frequent = table.sum(1) * totals.min() / totals.sum() >= EXPECTED
    rare = table[~frequent].sum(0)
    p_rare = hypergeom.sf(rare[0] - 1, totals.sum(), rare.sum(), totals[0])
    p_value = min(1.0, 2 * float(min(p_rare, _chi_square(table[frequent])[1])))
    statistic, _ = _chi_square(np.vstack([table[frequent], rare]))
    freedom = max(0, int(frequent.sum()) - (not rare.any()))
    size = np.sqrt(max(0.0, statistic - freedom) * totals.sum() / totals.prod())
    return Effect(float(shares[moved, 0]), float(shares[moved, 1]), float(size), p_value, names[moved])


def _chi_square(table: Floats) -> tuple[float, float]:
    """The statistic of a table [L, 2] of counts, and its p-value; 0 and 1 where there is nothing to compare."""
    table = table[table.sum(1) > 0]
    if len(table) < 2 or not table.sum(0).all():
        return 0.0, 1.0
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, float(chi2.sf(statistic, len(table) - 1))


def accuracy_change(new: Hits, reference: Hits) -> Effect:
    """Cohen's h of the accuracies, negative for a loss; the p-value is that of a loss."""
    value, before = new.right / new.rows, reference.right / reference.rows
    p_value = hypergeom.cdf(new.right, new.rows + reference.rows, new.right + reference.right, new.rows)
    return Effect(value, before, cohens_h(value, before), float(p_value))


def cohens_h(share: float, reference: float) -> float:
    """The difference of two shares, on a scale on which equal differences are as easy to see everywhere."""
    return float(2 * (np.arcsin(np.sqrt(share)) - np.arcsin(np.sqrt(reference))))
