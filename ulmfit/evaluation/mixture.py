"""How much each member of an ensemble counts: weights, and one temperature for the mean; ``weighing.py`` finds them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError, model_validator

from ulmfit.config import Part
from ulmfit.directions import DIRECTIONS, Member
from ulmfit.errors import UserError
from ulmfit.labels.label_set import Task, Temperature
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.json import Facts

FILE = "ensemble.json"
LEAST = 1e-7  # of a probability whose logarithm is taken

Shares = NDArray[np.float32]


class Mixture(Facts):
    """``weights`` of the members, which add up to 1; ``temperature`` of their mean; ``thresholds`` [L] where a text may have several labels."""

    weights: dict[Member, Part]
    temperature: Temperature = 1.0
    thresholds: tuple[Part, ...] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not math.isclose(sum(self.weights.values()), 1.0, abs_tol=1e-6):
            raise ValueError("the weights do not add up to 1")
        return self

    def join(self, members: Mapping[Member, Shares], task: Task, calibrated: bool = True) -> Shares:
        """float32 [N, L]: the weighted mean of the members' probabilities, through the temperature where ``calibrated``."""
        mean = sum(weight * members[member] for member, weight in self.weights.items())
        assert isinstance(mean, np.ndarray)
        return tempered(mean, task, self.temperature if calibrated else 1.0).astype(np.float32)


EQUAL = Mixture(weights=dict.fromkeys(DIRECTIONS, 1 / len(DIRECTIONS)))  # both directions and nothing else


def tempered(shares: NDArray[Any], task: Task, temperature: float) -> NDArray[Any]:
    """Probabilities [N, L] whose logits are divided by ``temperature``."""
    return shares if temperature == 1.0 else _shares(logits_of(shares, task) / temperature, task)


def logits_of(shares: NDArray[Any], task: Task) -> NDArray[np.float64]:
    """float64 [N, L]: logits whose probabilities are ``shares``."""
    logs = np.log(np.maximum(shares, LEAST, dtype=np.float64))
    return logs if task == "multi-class" else logs - np.log(np.maximum(1.0 - shares, LEAST, dtype=np.float64))


def _shares(logits: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    """A softmax, or a sigmoid of each."""
    powers: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True)) if task == "multi-class" else np.exp(-logits)
    return powers / powers.sum(axis=1, keepdims=True) if task == "multi-class" else 1 / (1 + powers)


def write_mixture(folder: Path, mixture: Mixture) -> None:
    """Put it beside a model."""
    write_bytes(folder / FILE, mixture.model_dump_json(indent=1).encode())


def read_mixture(folder: Path) -> Mixture | None:
    """What is beside the model in ``folder``; None where there is none. UserError where it is damaged."""
    try:
        return Mixture.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(f"{folder / FILE}: damaged; take the model from where it was made again") from error
