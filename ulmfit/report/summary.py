"""The summary of a run as typed facts: what ``summary.json`` holds and the report shows."""

import math
from typing import Literal

from pydantic import Field, JsonValue

from ulmfit.config import Settings
from ulmfit.corpora.corpus_record import CorpusRecord, PartFacts
from ulmfit.decisions.decision import Decision
from ulmfit.directions import Direction
from ulmfit.evaluation.abstention import Answered
from ulmfit.evaluation.results import Results
from ulmfit.evaluation.slice_scores import SliceScore
from ulmfit.prediction.explanation import Explanation
from ulmfit.report.corpus_quality import CorpusQuality
from ulmfit.report.suspect_list import SuspectList
from ulmfit.store.json import Facts, SparseFacts


class CorpusSummary(CorpusRecord):
    """A corpus: the key of its artifact, and its record without the parts."""

    key: str
    parts: tuple[PartFacts, ...] = Field(default=(), exclude=True)
    quality: CorpusQuality | None = None


class CurvePoint(Facts):
    """A point of a curve of ``history.json``."""

    step: int
    name: str
    value: float | None


class RangeTest(Facts):
    """The content of ``lr_finder.json``: losses by learning rate, the suggested rate and the rate in use."""

    rates: list[float]
    losses: list[float]
    suggestion: float | None
    lr: float


class StageSummary(Facts):
    """A finished stage: its ``name`` in the DAG, which is of a kind (``stage``), a direction and a corpus; and its artifact.

    ``kind`` is the kind of the artifact. ``inputs`` are keys of artifacts by role. ``cached``: found rather than built in this run.
    """

    name: str
    stage: str
    direction: Direction | None
    corpus: Literal["domain", "general"]
    kind: str
    key: str
    run_id: str | None
    seconds: float | None
    bytes: int
    cached: bool
    inputs: dict[str, str]
    record: dict[str, JsonValue]

    def figure(self, name: str) -> float | None:
        """A number of the record; None where there is none."""
        value = self.record.get(name)
        return value if isinstance(value, int | float) and math.isfinite(value) else None


class ModelSummary(SparseFacts):
    """The model's folder, and its registered version where there is one."""

    name: str | None = None
    version: str | None = None
    uri: str | None = None
    alias: str | None = None
    path: str


class RunSummary(Facts):
    """The tracked run, when and where it ran, and the versions of libraries."""

    id: str
    experiment: str
    tracking_uri: str
    started: str
    seconds: float
    device: str
    workspace: str
    versions: dict[str, str]

    @property
    def runs_url(self) -> str | None:
        """The URLs of tracked runs, but for the run's id; None where the tracking store is no server."""
        if not self.tracking_uri.startswith(("http://", "https://")):
            return None
        return f"{self.tracking_uri.rstrip('/')}/#/experiments/{self.experiment}/runs/"


class Summary(Facts):
    """The content of ``summary.json``; ``histories`` and ``lr_finders`` are by name of stage, ``report`` is the location of the page.

    ``suspects``: rows of the corpus whose labels may be wrong, where that was asked before.
    ``answered``: what comes of abstaining from answers that are not sure. ``slices``: how often the headline is right on each of them.
    ``reasons``: explanations of mistakes, by the document's id. ``decision``: the comparison of the registered version with the champion, if it is not champion itself.
    """

    name: str
    corpus: CorpusSummary
    general: CorpusSummary | None = None
    results: Results
    answered: list[Answered] = Field(default_factory=list)
    slices: list[SliceScore] = Field(default_factory=list)
    reasons: dict[str, Explanation] = Field(default_factory=dict)
    histories: dict[str, list[CurvePoint]]
    lr_finders: dict[str, RangeTest]
    stages: list[StageSummary]
    settings: Settings
    model: ModelSummary
    run: RunSummary
    decision: Decision | None = None
    suspects: SuspectList | None = None
    report: str | None = None

    def to_json(self) -> str:
        """The text of ``summary.json``; numbers that are not finite become null."""
        return self.model_dump_json(indent=1)
