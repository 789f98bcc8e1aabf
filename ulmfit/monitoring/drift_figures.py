"""What is measured of text, and what is said of its drift."""

from __future__ import annotations

from ulmfit.store.json import Facts

FILE = "figures.json"


class Hits(Facts):
    """Rows that a classifier gets right, of ``rows`` labelled ones."""

    right: int
    rows: int


class TextFigures(Facts):
    """Figures of a sample of documents, one of each a document, in one order; and of labels.

    ``losses``: nats per token under a language model. ``unknown``: shares of tokens outside its vocabulary. ``lengths``: tokens. ``labels``: label ->
    documents. ``hits``: of the champion, on the held-out rows (of a reference) or on newly labelled ones; None where nothing is labelled.
    """

    losses: tuple[float, ...]
    unknown: tuple[float, ...]
    lengths: tuple[int, ...]
    labels: dict[str, int]
    hits: Hits | None = None


class Figure(Facts):
    """One figure of new text beside that of the reference.

    ``effect``: Cohen's d, h or w, with a sign where the figure can fall; ``limit``: its least size that counts. ``p_value``: the chance of
    such an effect without drift; ``level``: it counts below that. ``rows``: new documents. Where these, or those of the reference, are too
    few, there is neither value nor effect. ``label``: which one ``value`` is the share of. ``says``: the figure as a sentence.
    """

    value: float | None = None
    reference: float | None = None
    effect: float | None = None
    limit: float
    p_value: float | None = None
    level: float
    rows: int
    noticed: bool = False
    label: str | None = None
    says: str


class DriftFigures(Facts):
    """The figures of one cycle.

    ``perplexity`` a token, the geometric mean of the documents'. ``outlying``: share of documents that in loss, unknown tokens
    and length together lie further out than nearly all of the reference. ``unknown``: mean of the documents' shares of tokens outside the vocabulary. ``length``: tokens per document,
    geometric mean. ``labels``: share of the label that moves the most. ``accuracy``: of the champion.
    """

    perplexity: Figure
    outlying: Figure
    unknown: Figure
    length: Figure
    labels: Figure
    accuracy: Figure

    @property
    def noticed(self) -> list[Figure]:
        """The figures in which drift is noticed."""
        return [figure for figure in self.by_name.values() if figure.noticed]

    @property
    def by_name(self) -> dict[str, Figure]:
        """The figures in order."""
        return {name: getattr(self, name) for name in type(self).model_fields}
