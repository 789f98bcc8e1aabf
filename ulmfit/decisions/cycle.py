"""What a retraining saw before it trained, or did not train: the facts of its decision."""

from pydantic import Field

from ulmfit.decisions.retrain_policy import RetrainPolicy
from ulmfit.decisions.should_train import Training
from ulmfit.monitoring.drift_figures import DriftFigures
from ulmfit.store.json import SparseFacts


class NewText(SparseFacts):
    """What landed since the last training: files, documents, labels, corrected ones among them, and quarantined rows by reason."""

    files: int = 0
    documents: int = 0
    labels: int = 0
    corrections: int = 0
    quarantined: dict[str, int] = Field(default_factory=dict)


class Cycle(SparseFacts):
    """One look of a retraining at its model. ``number``: of the trainings, from 1; of one that does not train, of the last that did.

    ``landed``: digest of all text that had landed. ``asked``: digest of the settings that it was asked to train with. ``training``: how it
    trains, for these ``reasons``. ``until``: the last arrival in the ledger then: what comes later is new. ``drift``: of the ``new`` text, where it was measured. ``forced``: a person wanted it.
    """

    number: int
    landed: str
    until: str | None = None
    asked: str
    new: NewText
    training: Training
    reasons: tuple[str, ...]
    policy: RetrainPolicy
    days: float | None = None
    drift: DriftFigures | None = None
    forced: bool = False
