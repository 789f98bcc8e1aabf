"""What the gate says about a challenger: the verdict, its reasons, and the figures behind them."""

from typing import Literal

from ulmfit.evaluation.results import Estimate
from ulmfit.store.json import Facts

Outcome = Literal["promoted", "held", "blocked"]


class Sides(Facts):
    """One figure of both versions; None where it is not known."""

    champion: float | None
    challenger: float | None


class Disagreement(Facts):
    """Rows that only one of the two versions gets right, of ``rows`` rows."""

    rows: int
    only_challenger_right: int
    only_champion_right: int

    @property
    def difference(self) -> float:
        """The challenger's accuracy minus the champion's, in -1 .. 1."""
        return (self.only_challenger_right - self.only_champion_right) / self.rows

    def mirrored(self) -> "Disagreement":
        """The same with champion and challenger swapped."""
        return Disagreement(rows=self.rows, only_challenger_right=self.only_champion_right, only_champion_right=self.only_challenger_right)


class SliceFigures(Facts):
    """One slice with enough rows: accuracies, disagreement, and the one-sided p-value of a loss (exact, not corrected).

    ``worse`` is whether it blocks: the loss exceeds the policy's margin, and the p-value its corrected level.
    """

    name: str
    accuracy: Sides
    disagreement: Disagreement
    p_value: float
    worse: bool


class GateFigures(Facts):
    """What the verdict rests on.

    ``cycle`` counts comparisons from 1. ``alpha`` is spent in this cycle, of the policy's alpha for all cycles together. ``difference``
    is the challenger's accuracy minus the champion's with its interval: over all cycles together, no lower bound is above the truth
    but with a chance of the policy's alpha, and no upper bound below it with the same chance. Where a document may have any number
    of labels, a row is right if all of them are. ``calibration_error`` is the expected calibration error. ``seconds`` are those of one
    text, ``bytes`` the size of the model.
    """

    cycle: int
    alpha: float
    disagreement: Disagreement
    difference: Estimate
    accuracy: Sides
    macro_f1: Sides
    calibration_error: Sides
    seconds: Sides
    bytes: Sides
    slices: list[SliceFigures]


class Verdict(Facts):
    """``outcome`` with its ``reasons``, one sentence each.

    promoted: shown to be as good as the policy asks, and nothing speaks against it. blocked: something speaks against it. held: neither
    is shown, or the two cannot be compared; then ``figures`` is None, and no alpha is spent.
    """

    outcome: Outcome
    reasons: list[str]
    figures: GateFigures | None = None

    @property
    def compared(self) -> bool:
        """Whether the held-out rows were looked at: such a verdict counts as one of the ``earlier`` comparisons of later cycles."""
        return self.figures is not None
