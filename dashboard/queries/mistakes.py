"""The most confident mistakes of a version: texts of documents, so they are read from the store and kept nowhere else."""

from pydantic import ValidationError

from ulmfit.errors import UserError
from ulmfit.evaluation.results import FILE, Mistake, Results
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store

MOST = 12


def mistakes(store: Store, evaluation: str | None) -> list[Mistake]:
    """The first ``MOST`` of the evaluation with that key; none where it is no longer there."""
    if evaluation is None or not (evaluation.isascii() and evaluation.isalnum()):
        return []
    try:
        found = Results.model_validate_json(filesystem.read_bytes(filesystem.join(store.root, "evaluation", evaluation, FILE)))
    except (OSError, UserError, ValidationError):
        return []
    return found.mistakes[:MOST]
