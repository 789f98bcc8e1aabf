"""Scoring under MLflow: which version is used, what is told of it, and the ways back: which version scored a file, which files a version."""

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter, ValidationError

from tasks.calls import Points, Used
from tasks.champion import FORGOTTEN_TAG
from tasks.cluster import Cluster
from tasks.registry import fetch_bundle, resolve
from tasks.servers import check_tracking, patiently
from tasks.tracking import EXPERIMENTS, Tracker
from tasks.workspace import Workspace
from ulmfit.errors import UserError
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.scoring import FileResult, FileSpec, ModelInUse, ScoredFile, after_deaths, read_record, record_of, score_file
from ulmfit.shards.mapping import PartWork
from ulmfit.store import filesystem
from ulmfit.store.journal import now

log = logging.getLogger(__name__)

EXPERIMENT = f"{EXPERIMENTS}scoring"
MODEL_TAG, DATASET_TAG = "ulmfit.model", "ulmfit.dataset"
FILE = "scored.json"  # of a tracked run: the records of all files of the data set
RUNS = 100  # of the experiment, in one call
REGISTRY = "models:/"
FILES: TypeAdapter[list[ScoredFile]] = TypeAdapter(list[ScoredFile])


@dataclass(frozen=True)
class Chosen:
    """The model to score with; ``version``: name and version of a registered one."""

    model: ModelInUse
    version: tuple[str, str] | None = None


@contextmanager
def chosen_model(workspace: Workspace, model: str) -> Iterator[Chosen]:
    """The model of a folder or of the registry, there as long as the block runs. UserError where there is none."""
    if not model.startswith(REGISTRY):
        folder = filesystem.absolute(model)
        yield Chosen(in_use(str(folder), folder))
        return
    version = resolve(workspace, model)
    name = f"{REGISTRY}{version.name}/{version.version}"
    if found := version.tags.get(FORGOTTEN_TAG):
        log.warning("%s had read documents that are forgotten since %s", name, found.partition(" ")[0])
    with tempfile.TemporaryDirectory(prefix="model-", dir=workspace.downloads) as fetched:  # where workers on other machines see it
        yield Chosen(in_use(name, fetch_bundle(workspace, version, Path(fetched))), (version.name, str(version.version)))


def in_use(name: str, folder: Path) -> ModelInUse:
    """The model in ``folder``, as workers are told of it. It is loaded here once: what is wrong with it is found before work begins."""
    predictor = Predictor(folder)
    return ModelInUse(name, str(folder), predictor.digest, predictor.precision)


@task(name="score files", cache_policy=NO_CACHE, persist_result=False)
def score_files(cluster: Cluster, specs: Sequence[FileSpec]) -> list[FileResult]:
    """Score files on the workers; a file that kills them gets a record that says so."""
    return cluster.map(PartWork("score", score_file, specs, label=lambda spec: spec.name, mend=after_deaths))


def begin(workspace: Workspace, model: ModelInUse, dataset: str) -> tuple[Tracker, str]:
    """A tracked run for a scoring, and its tracker."""
    tracker = Tracker.open(workspace, EXPERIMENT)
    tags = {"ulmfit.flow": "score", MODEL_TAG: model.name, DATASET_TAG: dataset, "ulmfit.model_digest": model.digest}
    return tracker, tracker.start(f"score {dataset}"[:250], tags)


def tell(tracker: Tracker, run_id: str, chosen: Chosen, dataset: str, records: Sequence[ScoredFile], figures: dict[str, float]) -> None:
    """Log what was scored: the files with their digests, the data set and the model as inputs, and figures."""
    named = hashlib.sha256("".join(sorted(record.digest for record in records)).encode())
    tracker.tell(Used(run=run_id, dataset=dataset, digest=named.hexdigest(), version=chosen.version))
    tracker.log_json(run_id, FILE, FILES.dump_python(list(records), mode="json"))
    time = int(now().timestamp() * 1000)
    tracker.tell(Points(run=run_id, points=[(name, float(value), time, 0) for name, value in figures.items()]))


def scored_by(workspace: Workspace, uri: str) -> tuple[str, list[ScoredFile]]:
    """The files that a version, or the model in a folder, has scored, the latest scoring of each output; and the model's name in full."""
    if uri.startswith(REGISTRY):
        version = resolve(workspace, uri)
        name = f"{REGISTRY}{version.name}/{version.version}"
    else:
        name = str(filesystem.absolute(uri))
    return name, _latest(record for record in _recorded(workspace, name) if record.model == name and not record.fault)


def scorers_of(workspace: Workspace, file: str) -> list[ScoredFile]:
    """The records of scorings that read the content of ``file``, or made it. UserError where there is no such file."""
    where = filesystem.in_full(file)
    try:
        digest = filesystem.sha256(where)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give a file that was scored, or one that scoring wrote") from error
    beside = _beside(where)
    records = [*([beside] if beside else []), *_recorded(workspace)]
    return _latest(record for record in records if digest in (record.digest, record.output_digest))


def _latest(records: Iterator[ScoredFile]) -> list[ScoredFile]:
    """The last record of each output and model, by time."""
    found = {(record.output, record.model, record.digest): record for record in sorted(records, key=lambda record: record.at)}
    return sorted(found.values(), key=lambda record: (record.at, record.output))


def _beside(file: str) -> ScoredFile | None:
    """The record of a file that scoring wrote: in the folder of records of its folder, or of one above."""
    folder, _, name = file.rpartition("/")
    while folder and folder != "s3:/":
        if found := read_record(record_of(folder, name)):
            return found
        folder, _, parent = folder.rpartition("/")
        name = f"{parent}/{name}"
    return None


def _recorded(workspace: Workspace, model: str | None = None) -> Iterator[ScoredFile]:
    """The records of all tracked scorings, or of those by one model."""
    if workspace.tracks_itself and not workspace.database.exists():
        return
    check_tracking(workspace)
    client = MlflowClient(workspace.tracking_uri)
    for run_id in patiently(workspace, lambda: _runs(client, model)):
        yield from _files_of(client, run_id)


def _runs(client: MlflowClient, model: str | None) -> list[str]:
    """Ids of tracked scorings."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    found, token = list[str](), None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=RUNS, page_token=token)
        found += [run.info.run_id for run in page if model in (None, run.data.tags.get(MODEL_TAG))]
        token = page.token
        if not token:
            return found


def _files_of(client: MlflowClient, run_id: str) -> list[ScoredFile]:
    """The records of one tracked scoring; none where it did not come to its end."""
    with tempfile.TemporaryDirectory(prefix="ulmfit-scored-") as folder:
        try:
            return FILES.validate_json(Path(client.download_artifacts(run_id, FILE, folder)).read_bytes())
        except (MlflowException, OSError):
            return []
        except ValidationError:
            log.warning("run %s: its %s is damaged and is left out", run_id, FILE)
            return []
