"""What a training reports about its result."""

from pydantic import BaseModel, ConfigDict


class TrainingRecord(BaseModel):
    """Facts of a finished training; None where a fact does not apply.

    ``model_dump(exclude_none=True)`` gives the names under which an artifact's record stores them; a reader ignores other names.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    steps: int | None = None
    trained_tokens: int | None = None
    training_seconds: float | None = None
    tokens_per_second: float | None = None
    valid_loss: float | None = None  # nats
    valid_perplexity: float | None = None
    valid_accuracy: float | None = None
    valid_macro_f1: float | None = None
    products: str | None = None  # dtype of the matrix products: float32 or bfloat16
    best_step: int | None = None  # the step whose weights were kept
    parts: int | None = None  # parts in which each batch was worked on, where memory was short
    processes: int | None = None  # where there was more than one
    lr_suggested: float | None = None  # by the range test
    rows_kept: int | None = None  # embedding rows taken from the pretrained vocabulary
    rows_new: int | None = None
    temperature: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None
