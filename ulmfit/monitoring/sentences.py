"""The figures of drift in plain words."""

from __future__ import annotations

from ulmfit.evaluation.reasons import quoted
from ulmfit.monitoring.drift_figures import Figure

WHAT = {
    "perplexity": "The perplexity per token",
    "outlying": "The share of documents unlike the known ones",
    "unknown": "The share of tokens outside the vocabulary",
    "length": "The tokens per document",
    "labels": "The share of the label",
    "accuracy": "The champion's accuracy",
}
KIND = {"outlying": "h", "accuracy": "h", "labels": "w"}


def sentence(name: str, figure: Figure) -> str:
    """The figure, which was measured, and whether drift is noticed in it."""
    assert figure.value is not None and figure.reference is not None and figure.effect is not None and figure.p_value is not None
    what = WHAT[name] if figure.label is None else f"{WHAT[name]} {quoted(figure.label)}"
    chance = "too small to count" if figure.p_value < figure.level else "no more than chance explains"
    verdict = "drift is noticed" if figure.noticed else chance
    goes = "rises" if figure.value > figure.reference else "falls" if figure.value < figure.reference else "stays"
    says = f"{what} {goes} from {_shown(name, figure.reference)} to {_shown(name, figure.value)} on {figure.rows:,} new documents"
    return f"{says}: {verdict} (Cohen's {KIND.get(name, 'd')} {figure.effect:.2f}, limit {figure.limit:g}; p = {figure.p_value:.1g})."


def too_few(name: str, rows: tuple[int, int], least: int) -> str:
    """That there are too few documents: of ``rows`` of the new text and of the reference, ``least`` of both are needed."""
    whose = "new" if rows[0] < least else "reference"
    return f"{WHAT[name]}: not measured, for {min(rows):,} {whose} documents are fewer than the {least:,} that it takes."


def _shown(name: str, value: float) -> str:
    return f"{value:,.3g}" if name in ("perplexity", "length") else f"{value:.1%}"
