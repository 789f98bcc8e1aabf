"""Scoring of a data set: a model, many Parquet files in, as many out, on the workers of a cluster."""

import time
from collections import Counter
from collections.abc import Sequence

from prefect import flow
from pydantic import BaseModel

from flows.dag import RUNNER
from flows.places import check_places
from flows.request import ScoreRequest
from flows.score_plan import ScorePlan, resolve_score
from flows.tracked import ending
from tasks.cluster import open_cluster
from tasks.scoring import Chosen, begin, chosen_model, score_files, tell
from ulmfit.prediction.scoring import NAMED, FileResult, FileSpec, OutputMark
from ulmfit.store import filesystem


class BadFile(BaseModel):
    """A file that could not be scored, and why."""

    file: str
    fault: str


class BadRow(BaseModel):
    """A row without a prediction, and why."""

    file: str
    row: str
    reason: str


class ScoreSummary(BaseModel):
    """What ``ulmfit score --json`` prints. ``found``: files that were done before. ``rows``, ``refused`` (rows without a prediction, by
    reason) and ``bad_rows`` (the first of them) are of all files; ``rows_per_second`` and ``seconds`` of those that were scored now."""

    model: str
    dataset: str
    output: str
    run: str
    files: int
    scored: int
    found: int
    bad_files: list[BadFile]
    rows: int
    refused: dict[str, int]
    bad_rows: list[BadRow]
    seconds: float
    rows_per_second: float | None

    @property
    def complete(self) -> bool:
        """Whether every row has a prediction."""
        return not self.bad_files and not self.refused


@flow(name="score", task_runner=RUNNER, persist_result=False)
def score(request: ScoreRequest) -> ScoreSummary:
    """Each file of a data set with the label and the probabilities of every row, by one version of a model."""
    check_places(request)
    return score_by(resolve_score(request))


def score_by(plan: ScorePlan) -> ScoreSummary:
    """The flow, its request resolved."""
    with chosen_model(plan.workspace, plan.request.model) as chosen:
        return _score(plan, chosen)


def _score(plan: ScorePlan, chosen: Chosen) -> ScoreSummary:
    request, model = plan.request, chosen.model
    OutputMark(model=model.name, dataset=filesystem.in_full(request.dataset), text_column=request.text_column).write(plan.place)
    tracker, run_id = begin(plan.workspace, model, request.dataset)
    with ending(tracker, run_id), open_cluster(request.dask) as cluster:
        specs = [FileSpec(plan.root, name, plan.place, request.text_column, model, run_id, request.warn) for name in plan.names]
        started = time.monotonic()
        results = score_files(cluster, specs)
        summary = _summary(plan, model.name, results, run_id, time.monotonic() - started)
        figures = {"files": summary.files, "rows": summary.rows, "seconds": summary.seconds, "bad_files": len(summary.bad_files)}
        speed = {"rows_per_second": summary.rows_per_second} if summary.rows_per_second is not None else {}
        tell(tracker, run_id, chosen, request.dataset, [result.record for result in results], figures | speed)
    return summary


def _summary(plan: ScorePlan, model: str, results: Sequence[FileResult], run_id: str, seconds: float) -> ScoreSummary:
    records = [result.record for result in results]
    now = [result.record for result in results if not result.found]
    rows, refused = sum(record.rows for record in now), Counter[str]()
    for record in records:
        refused.update(record.refused)
    bad_rows = [BadRow(file=record.file, row=row.row, reason=row.reason) for record in records for row in record.named]
    return ScoreSummary(
        model=model,
        dataset=plan.request.dataset,
        output=plan.place,
        run=run_id,
        files=len(records),
        scored=sum(not record.fault for record in now),
        found=len(records) - len(now),
        bad_files=[BadFile(file=record.file, fault=record.fault) for record in records if record.fault],
        rows=sum(record.rows for record in records),
        refused=dict(refused),
        bad_rows=bad_rows[:NAMED],
        seconds=round(seconds, 1),
        rows_per_second=round(rows / seconds, 1) if rows else None,
    )
