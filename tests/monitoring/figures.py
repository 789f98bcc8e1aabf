"""Figures of made-up text."""

from __future__ import annotations

import numpy as np

from ulmfit.monitoring.drift_figures import Hits, TextFigures


def text(
    documents: int,
    seed: int,
    *,
    strange: float = 0.0,
    loss: float = 4.0,
    unknown: float = 0.03,
    length: float = 5.0,
    labels: dict[str, int] | None = None,
    hits: tuple[int, int] | None = None,
) -> TextFigures:
    """Documents of one kind; a share ``strange`` of them is of another, which the language model hardly expects."""
    rng = np.random.default_rng(seed)
    other = rng.random(documents) < strange
    losses = rng.normal(loss + other, 0.4)
    return TextFigures(
        losses=tuple(losses.tolist()),
        unknown=tuple(rng.beta(2, 2 / (unknown + 0.1 * other) - 2).tolist()),
        lengths=tuple(np.exp(rng.normal(length - other, 0.6)).astype(int).tolist()),
        labels={"ham": documents // 2, "spam": documents - documents // 2} if labels is None else labels,
        hits=Hits(right=round(0.9 * documents), rows=documents) if hits is None else Hits(right=hits[0], rows=hits[1]),
    )
