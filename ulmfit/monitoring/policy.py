"""From which effect on, and how surely, drift is noticed."""

from typing import Annotated

from pydantic import Field

from ulmfit.config import Positive, Seed, Stage

Effect = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class DriftPolicy(Stage):
    """Drift is noticed in a figure that has enough rows, an effect of its limit or more, and a chance of false alarm below its level.

    ``false_alarms`` is shared by the figures that are measured, so it is the chance of any false alarm in a cycle: 0.002 is one
    in 500 cycles. Effects are Cohen's: d of perplexity, unknown tokens and length, h of outlying documents and accuracy, w of labels.
    """

    false_alarms: float = Field(0.002, gt=0.0, lt=0.5, description="chance of a false alarm in a cycle, over all figures together")
    min_documents: int = Field(30, ge=3, le=10**9, description="new documents that figures of text need, at least")
    min_labels: int = Field(50, ge=3, le=10**9, description="newly labelled documents that figures of labels and accuracy need, at least")
    min_perplexity: Effect = Field(0.15, description="Cohen's d of the documents' log perplexity, up or down")
    min_outlying: Effect = Field(0.1, description="Cohen's h of the share of outlying documents, up")
    min_unknown: Effect = Field(0.15, description="Cohen's d of the documents' share of unknown tokens, up or down")
    min_length: Effect = Field(0.15, description="Cohen's d of the documents' log length, up or down")
    min_label_shift: Effect = Field(0.1, description="Cohen's w of the labels")
    min_accuracy_loss: Effect = Field(0.1, description="Cohen's h of the champion's accuracy, down")
    sample: Positive = Field(1_000, le=10**6, description="documents that are measured, at most: a seeded sample")
    max_tokens: int = Field(100, ge=10, le=10**6, description="tokens at the beginning of a document that perplexity is measured on")
    seed: Seed = 0
