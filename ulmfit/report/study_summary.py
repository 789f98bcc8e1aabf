"""The summary of a study as typed facts: what its ``summary.json`` holds and its report shows."""

from pydantic import JsonValue

from ulmfit.config import Settings
from ulmfit.experiments.forecast import Purchase
from ulmfit.experiments.learning_curves.power_law import MISFIT
from ulmfit.experiments.means import Mean, means
from ulmfit.experiments.trial import TrialResult
from ulmfit.report.summary import RunSummary
from ulmfit.report.suspect_list import SuspectList
from ulmfit.store.json import Facts


class StudyCorpus(Facts):
    """A corpus of a study, with all its documents: the key of its artifact, its digest, its labels, and the documents of each split.

    ``suspects``: rows whose labels may be wrong, where that was asked before.
    """

    name: str
    key: str
    digest: str
    labels: tuple[str, ...]
    splits: dict[str, int]
    suspects: SuspectList | None = None


class StudySummary(Facts):
    """A study. ``kind``: the command; ``asked``: what it was asked for; ``settings``: those that all trials share but for a point's options.

    ``made`` and ``found``: its stages. ``changed``: settings that the user set. ``misfit``: of forecasts, as past
    studies of the workspace have it (see ``learning_curves/calibration.py``). ``busy``: seconds that stages took, together, of ``run.seconds`` on ``slots`` slots.
    """

    kind: str
    asked: dict[str, JsonValue]
    corpora: list[StudyCorpus]
    results: list[TrialResult]
    settings: Settings
    made: int
    found: int
    busy: float
    slots: int
    machine: str
    changed: int = 0
    purchase: Purchase = Purchase()
    misfit: float = MISFIT
    run: RunSummary
    report: str | None = None

    @property
    def means(self) -> list[Mean]:
        """The trials of each point together."""
        return means(self.results)
