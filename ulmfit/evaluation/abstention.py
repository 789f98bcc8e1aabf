"""When to answer: the confidence from which a wished share of the answers is right, found on held-out rows.

A threshold is a promise about new rows, so it is tested: of several, tried together, that which answers the most rows while the binomial
test still says that too few are wrong for chance (Angelopoulos et al. 2021, "Learn then Test", with Bonferroni's correction).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ulmfit.errors import UserError
from ulmfit.store.json import Facts

FILE = "abstention.json"
RISK = 0.1  # the chance that a threshold breaks its promise
STEP = 0.8  # each threshold that is tried answers so many of the rows that the one before it does
FEWEST = 20  # rows that a threshold has to answer
DIGITS = 6  # of a confidence; twice as close as answers of different batches are


class Abstention(Facts):
    """Held-out rows: the probability of the predicted class of each, and whether it is right."""

    confidences: tuple[float, ...]
    right: tuple[bool, ...]

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Self:
        """From ``probabilities`` [N, L] and the true ``labels`` [N]."""
        confidences = np.round(probabilities.max(1).astype(np.float64), DIGITS)
        return cls(confidences=tuple(confidences.tolist()), right=tuple((probabilities.argmax(1) == labels).tolist()))

    def threshold(self, share: float) -> float | None:
        """The lowest confidence from which ``share`` of the answers is right, but for a chance of ``RISK``; None where no confidence is so sure."""
        from scipy.special import bdtr  # half a second, for those alone who abstain

        order = np.argsort(-np.asarray(self.confidences), kind="stable")
        confidences, wrong = np.asarray(self.confidences)[order], np.cumsum(~np.asarray(self.right, dtype=bool)[order])
        sizes = _sizes(confidences)
        for size in sizes:
            chance = bdtr(wrong[size - 1], size, 1 - share)  # of so few wrong ones, if each is wrong with chance 1 - share
            if chance <= RISK / len(sizes):
                return float(confidences[size - 1])
        return None


class Answered(Facts):
    """What came of asking for ``share`` right, on rows that the threshold was not found on: ``coverage``, the share that is answered, and
    ``accuracy``, the share of these that is right; None where nothing is answered."""

    share: float
    coverage: float
    accuracy: float | None


def measure(rows: Abstention, shares: Sequence[float]) -> list[Answered]:
    """For each of ``shares``: the threshold found on every second row, tried on the others, and the other way round."""
    return [_measured(rows, share) for share in shares] if len(rows.right) > 1 else []


def _measured(rows: Abstention, share: float) -> Answered:
    answered = right = 0
    for half in (0, 1):
        found = Abstention(confidences=rows.confidences[half::2], right=rows.right[half::2]).threshold(share)
        if found is not None:
            others = zip(rows.confidences[1 - half :: 2], rows.right[1 - half :: 2], strict=True)
            hits = [hit for confidence, hit in others if confidence >= found]
            answered, right = answered + len(hits), right + sum(hits)
    return Answered(share=share, coverage=answered / len(rows.right), accuracy=right / answered if answered else None)


def _sizes(confidences: NDArray[np.float64]) -> list[int]:
    """How many rows each threshold answers, from all of them downwards; rows of one confidence stay together."""
    ends = np.append(np.flatnonzero(confidences[:-1] > confidences[1:]), len(confidences) - 1) + 1 if len(confidences) else np.array([])
    wished = [len(confidences) * STEP**power for power in range(100)]
    return sorted(
        {int(ends[ends <= size].max()) for size in wished if (ends <= size).any() and ends[ends <= size].max() >= FEWEST}, reverse=True
    )


def write_abstention(folder: Path, rows: Abstention) -> None:
    """Put it beside a model."""
    (folder / FILE).write_text(rows.model_dump_json())


def read_abstention(folder: Path) -> Abstention | None:
    """What is beside the model in ``folder``; None where there is none. UserError where it is damaged."""
    try:
        return Abstention.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(f"{folder / FILE}: damaged; take the model from where it was made again") from error
