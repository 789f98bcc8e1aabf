"""What held-out text of a model's own corpus looks like to it, kept beside the model: other text is judged by how seldom this is as strange."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ulmfit.errors import UserError
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.json import Facts

FILE = "familiarity.json"
DIGITS = 4


class Familiar(Facts):
    """Figures of held-out documents, each sorted: ``losses`` (nats per token) and ``unknown`` (shares of unknown tokens)."""

    losses: tuple[float, ...]
    unknown: tuple[float, ...]

    @classmethod
    def of(cls, losses: NDArray[np.float64], unknown: NDArray[np.float64]) -> "Familiar":
        """From the figures of N documents; NaN, of a document without a token to expect, is left out."""
        kept = [np.sort(found[~np.isnan(found)]).round(DIGITS).tolist() for found in (losses, unknown)]
        return cls(losses=tuple(kept[0]), unknown=tuple(kept[1]))


@dataclass(frozen=True, slots=True)
class Strangeness:
    """``perplexity`` a token, None where there is only one; ``unknown``: share of the tokens; ``warning``: why not to rely on a prediction."""

    perplexity: float | None
    unknown: float
    warning: str | None = None


def as_strange(reference: tuple[float, ...], value: float) -> float:
    """The share of documents that lie as far out as ``value``, itself among them: about so often a document of the corpus does."""
    beyond = len(reference) - int(np.searchsorted(reference, value - 10**-DIGITS))
    return (1 + beyond) / (1 + len(reference))


def write_familiar(folder: Path, familiar: Familiar) -> None:
    """Put it beside a model."""
    write_bytes(folder / FILE, familiar.model_dump_json().encode())


def read_familiar(folder: Path) -> Familiar | None:
    """What is beside the model in ``folder``; None where there is none. UserError where it is damaged."""
    try:
        return Familiar.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(f"{folder / FILE}: damaged; take the model from where it was made again") from error
