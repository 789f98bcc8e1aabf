"""How much each member of an ensemble counts: weights, and one temperature for the mean, found on validation documents.

A few documents do not tell which member is better. So the weight of the words is the mean of its posterior: each weight on a grid counts by
its prior and by the likelihood of the validation labels under it. Without documents it is the prior's mean; with many, it is the best.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from ulmfit.directions import DIRECTIONS, Member
from ulmfit.errors import UserError
from ulmfit.evaluation.calibration import fit_temperature, fit_thresholds
from ulmfit.labels.label_set import Task
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.json import Facts

FILE = "ensemble.json"
GRID = np.linspace(0, 1, 21)  # weights of the words that are tried
PRIOR = (3.0, 8.0)  # of the beta distribution of that weight: its mean is 0.27
SPREAD = 0.3  # of the temperature's logarithm
LEAST = 1e-7  # of a probability whose logarithm is taken

Shares = NDArray[np.float32]


class Mixture(Facts):
    """``weights`` of the members, which add up to 1; ``temperature`` of their mean; ``thresholds`` [L] where a text may have several labels."""

    weights: dict[Member, float]
    temperature: float = 1.0
    thresholds: tuple[float, ...] | None = None

    def join(self, members: Mapping[Member, Shares], task: Task, calibrated: bool = True) -> Shares:
        """float32 [N, L]: the weighted mean of the members' probabilities, through the temperature where ``calibrated``."""
        mean = sum(weight * members[member] for member, weight in self.weights.items())
        assert isinstance(mean, np.ndarray)
        return tempered(mean, task, self.temperature if calibrated else 1.0).astype(np.float32)


EQUAL = Mixture(weights=dict.fromkeys(DIRECTIONS, 1 / len(DIRECTIONS)))  # both directions and nothing else


def tempered(shares: NDArray[Any], task: Task, temperature: float) -> NDArray[Any]:
    """Probabilities [N, L] whose logits are divided by ``temperature``."""
    return shares if temperature == 1.0 else _shares(_logits(shares, task) / temperature, task)


def _logits(shares: NDArray[Any], task: Task) -> NDArray[np.float64]:
    logs = np.log(np.maximum(shares, LEAST, dtype=np.float64))
    return logs if task == "multi-class" else logs - np.log(np.maximum(1.0 - shares, LEAST, dtype=np.float64))


def _shares(logits: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    from scipy.special import expit, softmax

    found: NDArray[np.float64] = softmax(logits, axis=1) if task == "multi-class" else expit(logits)
    return found


def fit_mixture(members: Mapping[Member, Shares], truth: NDArray[Any], task: Task) -> Mixture:
    """Of validation documents: the probabilities [N, L] by each member, words among them; ``truth`` int [N], or bool [N, L]."""
    of_words = _weight_of_words(members, truth)
    mixed = Mixture(weights={**dict.fromkeys(DIRECTIONS, (1 - of_words) / len(DIRECTIONS)), "words": of_words})
    mean = mixed.join(members, task)
    logits = torch.from_numpy(_logits(mean, task))
    temperature = fit_temperature(logits, torch.from_numpy(truth if task == "multi-class" else truth.astype(np.float64)), task, SPREAD)
    shares = tempered(mean, task, temperature)
    thresholds = tuple(fit_thresholds(shares, truth).tolist()) if task == "multi-label" else None
    return mixed.model_copy(update={"temperature": temperature, "thresholds": thresholds})


def _weight_of_words(members: Mapping[Member, Shares], truth: NDArray[Any]) -> float:
    """The mean of the posterior."""
    network = np.mean([members[direction] for direction in DIRECTIONS], axis=0)
    logs = np.array([_log_likelihood((1 - weight) * network + weight * members["words"], truth) for weight in GRID])
    with np.errstate(divide="ignore"):
        logs += (PRIOR[0] - 1) * np.log(GRID) + (PRIOR[1] - 1) * np.log(1 - GRID)
    posterior = np.exp(logs - logs.max())
    return float((posterior @ GRID) / posterior.sum())


def _log_likelihood(shares: NDArray[Any], truth: NDArray[Any]) -> float:
    """Of the labels of all documents."""
    given = shares[np.arange(len(truth)), truth] if truth.ndim == 1 else np.where(truth, shares, 1 - shares)
    return math.fsum(np.log(np.maximum(given, LEAST)).ravel().tolist())


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
