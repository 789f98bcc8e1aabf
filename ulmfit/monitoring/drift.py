"""Drift: new text against the text that a model is judged on, in six figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ulmfit.monitoring.drift_figures import DriftFigures, Figure, Hits, TextFigures
from ulmfit.monitoring.effects import Effect, Floats, accuracy_change, label_shift, mean_shift, outlying_share
from ulmfit.monitoring.history import wander
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.monitoring.sentences import sentence, too_few

NONE = Hits(right=0, rows=0)


def drift(reference: TextFigures, new: TextFigures, policy: DriftPolicy, earlier: Sequence[DriftFigures] = ()) -> DriftFigures:
    """The drift of ``new`` text, which the champion has not learned from.

    ``reference``: of documents that the champion did not learn from either, but that are like those it did: the held-out ones of its
    corpus. Both are measured by ``measuring.py``, under the champion's domain LM, vocabulary and tokenizer. ``earlier``: what this
    function returned in earlier cycles under the same champion, oldest first; how much these differ among themselves counts as
    chance. After a promotion the reference is measured again, and ``earlier`` begins empty.

    Nothing is raised for what the figures hold. A figure with too few documents, of either side, says so and notices nothing.
    """
    measures = _measures(reference, new, policy, earlier)
    level = policy.false_alarms / max(1, sum(measure.enough for measure in measures.values()))
    return DriftFigures.model_validate({name: _figure(name, measure, level) for name, measure in measures.items()})


@dataclass(frozen=True)
class _Measure:
    """How one figure comes about. ``rows``: of new text and of the reference; ``direction``: the sign of an effect that counts, 0 for both."""

    effect: Callable[[], Effect]
    rows: tuple[int, int]
    least: int
    limit: float
    direction: int = 0

    @property
    def enough(self) -> bool:
        return min(self.rows) >= self.least

    def counts(self, effect: Effect) -> bool:
        """Whether the effect is large enough."""
        return (effect.size * self.direction if self.direction else abs(effect.size)) >= self.limit


def _measures(reference: TextFigures, new: TextFigures, policy: DriftPolicy, earlier: Sequence[DriftFigures]) -> dict[str, _Measure]:
    history = lambda name: wander([cycle.by_name[name] for cycle in earlier])
    texts, labels = policy.min_documents, policy.min_labels
    losses, unknown = (_floats(new.losses), _floats(reference.losses)), (_floats(new.unknown), _floats(reference.unknown))
    lengths = _logarithms(new.lengths), _logarithms(reference.lengths)
    hits = new.hits or NONE, reference.hits or NONE
    mean = lambda name, sides: lambda: mean_shift(sides[0], sides[1], history(name))
    sizes = lambda sides: (len(sides[0]), len(sides[1]))
    labelled = sum(new.labels.values()), sum(reference.labels.values())
    return {
        "perplexity": _Measure(mean("perplexity", losses), sizes(losses), texts, policy.min_perplexity),
        "outlying": _Measure(lambda: outlying_share(_places(new), _places(reference)), sizes(losses), texts, policy.min_outlying, 1),
        "unknown": _Measure(mean("unknown", unknown), sizes(unknown), texts, policy.min_unknown),
        "length": _Measure(mean("length", lengths), sizes(lengths), texts, policy.min_length),
        "labels": _Measure(lambda: label_shift(new.labels, reference.labels), labelled, labels, policy.min_label_shift),
        "accuracy": _Measure(lambda: accuracy_change(hits[0], hits[1]), (hits[0].rows, hits[1].rows), labels, policy.min_accuracy_loss, -1),
    }


def _places(figures: TextFigures) -> Floats:
    """float64 [N, 3]: where documents lie; the root makes shares of unknown tokens less skewed."""
    return np.stack([_floats(figures.losses), np.sqrt(_floats(figures.unknown)), _logarithms(figures.lengths)], 1)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)


def _logarithms(lengths: ArrayLike) -> Floats:
    return np.log(np.maximum(_floats(lengths), 1.0))


def _figure(name: str, measure: _Measure, level: float) -> Figure:
    rows, limit = measure.rows[0], measure.limit
    if not measure.enough:
        return Figure(limit=limit, level=level, rows=rows, says=too_few(name, measure.rows, measure.least))
    effect = measure.effect()
    value, reference = np.exp((effect.value, effect.reference)) if name in ("perplexity", "length") else (effect.value, effect.reference)
    found = Figure(
        value=float(value), reference=float(reference), effect=effect.size, limit=limit, p_value=effect.p_value, level=level, rows=rows,
        noticed=measure.counts(effect) and effect.p_value < level, label=effect.label, says="",
    )  # fmt: skip
    return found.model_copy(update={"says": sentence(name, found)})
