"""The weights of an ensemble's members, and the temperature of their mean, from validation documents.

A few documents do not tell which member is better. So the weight of the words is the mean of its posterior: each weight on a grid counts by
its prior and by the likelihood of the validation labels under it. Without documents it is the prior's mean; with many, it is the best.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ulmfit.directions import DIRECTIONS, Member
from ulmfit.evaluation.calibration import fit_temperature, fit_thresholds
from ulmfit.evaluation.mixture import LEAST, Mixture, Shares, logits_of, tempered
from ulmfit.labels.label_set import Task

GRID = np.linspace(0, 1, 21)  # weights of the words that are tried
PRIOR = (6.0, 14.0)  # of the beta distribution of that weight: its mean is 0.3
SPREAD = 0.3  # of the temperature's logarithm


@dataclass(frozen=True, eq=False)
class Witnesses:
    """What each of the ``members`` says of N documents that it has not learnt from, probabilities [N, L], and their ``truth``, int [N] or bool [N, L]."""

    members: Mapping[Member, Shares]
    truth: NDArray[Any]

    def joined(self, others: "Witnesses") -> "Witnesses":
        """The documents of both."""
        members = {member: np.concatenate([shares, others.members[member]]) for member, shares in self.members.items()}
        return Witnesses(members, np.concatenate([self.truth, others.truth]))


def fit_mixture(members: Mapping[Member, Shares], truth: NDArray[Any], task: Task, calibrated: bool = True) -> Mixture:
    """Of validation documents: the probabilities [N, L] by each member, words among them; ``truth`` int [N], or bool [N, L].

    ``calibrated``: with a temperature.
    """
    of_words = _weight_of_words(members, truth)
    mixed = Mixture(weights={**dict.fromkeys(DIRECTIONS, (1 - of_words) / len(DIRECTIONS)), "words": of_words})
    mean = mixed.join(members, task)
    logits, targets = (
        torch.from_numpy(logits_of(mean, task)),
        torch.from_numpy(truth if task == "multi-class" else truth.astype(np.float64)),
    )
    temperature = fit_temperature(logits, targets, task, SPREAD) if calibrated else 1.0
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
