"""MLflow: runs, curves, inputs and outputs. Run ids are passed by hand; the active run is never used.

The active run of MLflow's fluent interface belongs to a thread; stages run in several.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from pydantic import BaseModel, JsonValue
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from tasks.relocation import settle
from tasks.servers import without_password
from tasks.workspace import Workspace
from ulmfit.errors import UserError
from ulmfit.store.artifacts import Artifact
from ulmfit.store.json import JsonObject
from ulmfit.store.recipe import Recipe, flatten, stable

log = logging.getLogger(__name__)

KEY_TAG = "ulmfit.artifact"
EXPERIMENTS = "ulmfit-"  # what the names of ours begin with
PARENT_TAG = "mlflow.parentRunId"
FLUSH_METRICS, FLUSH_SECONDS = 200, 5.0  # one batch costs about what ten single metrics do
LONGEST_METRIC = 250  # letters of its name, for MLflow
LONGEST_PARAMETER = 500  # letters
PARAMETERS = 100  # in one call, for MLflow
SYSTEM_METRICS_EVERY = 5  # seconds


@dataclass(frozen=True)
class Tracker:
    """One experiment of one tracking server."""

    uri: str
    experiment_id: str

    @classmethod
    def open(cls, workspace: Workspace, experiment: str) -> Self:
        """The named experiment, made if it is not there. UserError where somebody has deleted it in MLflow."""
        uri = workspace.tracking_uri
        with settled(workspace) as client:
            found = client.get_experiment_by_name(experiment)
            if found and found.lifecycle_stage == LifecycleStage.DELETED:
                raise UserError(f"{_deleted(found)}; {_restore(found, uri)}")
            if found:
                return cls(uri, found.experiment_id)
            own = (workspace.mlflow_artifacts / experiment).as_uri() if uri.startswith("sqlite") else None
            return cls(uri, client.create_experiment(experiment, artifact_location=own))

    @property
    def client(self) -> MlflowClient:
        """A client of the tracking server."""
        return MlflowClient(self.uri)

    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        """A new run's id."""
        parent_tag = {PARENT_TAG: parent} if parent else {}
        return self.client.create_run(self.experiment_id, tags={**tags, **parent_tag}, run_name=name).info.run_id

    def reopen(self, name: str, key: str, parent: str) -> str:
        """The run that tracks the artifact ``key``: the one that failed on it before, or a new one."""
        found = self.client.search_runs([self.experiment_id], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        if not found:
            return self.start(name, {KEY_TAG: key}, parent)
        run_id = found[0].info.run_id
        self.client.update_run(run_id, status="RUNNING")
        self.client.set_tag(run_id, PARENT_TAG, parent)
        return run_id

    def note_stage(self, run_id: str, name: str, artifact: Artifact, cached: bool) -> None:
        """Tag a flow's run with what came of a stage."""
        self.client.set_tag(run_id, f"ulmfit.stage.{name}", f"{artifact.key} run={artifact.run_id} {'cached' if cached else 'made'}")

    def log_settings(self, run_id: str, settings: Mapping[str, object] | BaseModel) -> None:
        """Log settings as parameters of a run; long values are cut."""
        params = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in flatten(stable(settings)).items()]
        for start in range(0, len(params), PARAMETERS):
            self.client.log_batch(run_id, params=params[start : start + PARAMETERS])

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run."""
        self.client.set_terminated(run_id, status)


@contextmanager
def settled(workspace: Workspace) -> Iterator[MlflowClient]:
    """A client of the tracking server, to write with: in the workspace's own database all locations name the workspace as it is called now.

    Others wait meanwhile: a new store is set up by one run, not by two at once, and that is when a client is made.
    """
    with workspace.store.lock("tracking"):
        client = MlflowClient(workspace.tracking_uri)
        if workspace.tracks_itself:
            settle(workspace)
        yield client


def deleted_experiments(workspace: Workspace) -> list[tuple[str, str]]:
    """Experiments of ours that somebody has deleted in MLflow, so that no run can be tracked in them: what is known of each, and the remedy."""
    uri = workspace.tracking_uri
    found = MlflowClient(uri).search_experiments(ViewType.DELETED_ONLY, filter_string=f"name LIKE '{EXPERIMENTS}%'")
    return [(_deleted(experiment), _restore(experiment, uri)) for experiment in found]


def _deleted(experiment: Experiment) -> str:
    return f"MLflow's experiment {experiment.name} was deleted"


def _restore(experiment: Experiment, uri: str) -> str:
    return f"bring it back: MLFLOW_TRACKING_URI='{without_password(uri)}' mlflow experiments restore -x {experiment.experiment_id}"


class StageRun:
    """The tracked run of one stage: parameters, buffered curves, inputs and outputs."""

    def __init__(self, tracker: Tracker, run_id: str):
        self.run_id = run_id
        self._tracker, self._client = tracker, tracker.client
        self._buffer: list[Metric] = []
        self._flushed, self._lock = time.monotonic(), threading.Lock()

    def observe(self, step: int, values: Mapping[str, float]) -> None:
        """Note points of curves; they are sent in batches."""
        now = int(time.time() * 1000)
        with self._lock:
            self._buffer += [Metric(name, float(value), now, step) for name, value in values.items()]
            if len(self._buffer) < FLUSH_METRICS and time.monotonic() - self._flushed < FLUSH_SECONDS:
                return
        self.flush()

    def flush(self) -> None:
        """Send what is buffered."""
        with self._lock:
            points, self._buffer = self._buffer, []
            self._flushed = time.monotonic()
        for start in range(0, len(points), 1000):
            self._client.log_batch(self.run_id, metrics=points[start : start + 1000])

    def describe(self, recipe: Recipe) -> None:
        """Log the recipe: settings as parameters, identity as tags."""
        tags = [RunTag("ulmfit.kind", recipe.kind), RunTag("ulmfit.inputs", json.dumps(dict(recipe.inputs)))]
        self._client.log_batch(self.run_id, tags=tags)
        self._tracker.log_settings(self.run_id, recipe.config)

    def inputs(self, artifacts: Mapping[str, Artifact]) -> None:
        """Log what the stage reads: artifacts as datasets with their digests, and those that are models also by their ids."""
        datasets = [
            DatasetInput(
                Dataset(artifact.kind, artifact.key[:32], "local", json.dumps({"artifact": f"{artifact.kind}/{artifact.key}"})),
                [InputTag("mlflow.data.context", role)],
            )
            for role, artifact in artifacts.items()
        ]
        models = known_models(self._client, (artifact.manifest.record for artifact in artifacts.values()))
        # Two stages that read the same data for the first time race to note the dataset, and the server lets one of them fail.
        often = Retrying(
            retry=retry_if_exception_type(MlflowException), stop=stop_after_attempt(4), wait=wait_random(0.05, 0.3), reraise=True
        )
        often(self._client.log_inputs, self.run_id, datasets=datasets, models=models)

    def output_model(self, name: str, recipe: Recipe, folder: Path) -> str:
        """Log the model in ``folder`` as this run's output and return its id. Its weights stay in the artifact store."""
        tags = {KEY_TAG: recipe.key}
        model = self._client.create_logged_model(self._tracker.experiment_id, name, self.run_id, tags=tags, model_type=recipe.kind)
        for file in ("config.json", "history.json"):
            if (folder / file).exists():  # a model that was brought has no history
                self._client.log_model_artifact(model.model_id, str(folder / file))
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, 0)])
        return model.model_id

    def result(self, record: Mapping[str, JsonValue]) -> None:
        """Log the record's numbers as the run's final metrics, and counts by label as a file: no name is made of a user's strings."""
        labels, rest = _without_labels(record)
        if labels:
            self._client.log_dict(self.run_id, labels, "labels.json")
        numbers = {name: value for name, value in flatten(rest).items() if isinstance(value, int | float) and not isinstance(value, bool)}
        self.observe(0, {metric_name(f"result.{name}"): value for name, value in numbers.items()})
        self.flush()

    @contextmanager
    def system_metrics(self) -> Iterator[None]:
        """Sample the machine's load into the run while the block runs."""
        monitor = SystemMetricsMonitor(self.run_id, sampling_interval=SYSTEM_METRICS_EVERY, tracking_uri=self._tracker.uri)
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()


def metric_name(name: str) -> str:
    """The name as MLflow takes it: a ``/`` in it would make a path."""
    return re.sub(r"[^\w\-. ]", "-", name)[:LONGEST_METRIC]


def _without_labels(tree: Mapping[str, JsonValue], prefix: str = "") -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """What the mappings called ``labels`` hold, by where they stand; and the tree without them."""
    labels: dict[str, JsonValue] = {}
    rest: dict[str, JsonValue] = {}
    for name, value in tree.items():
        if not isinstance(value, dict):
            rest[name] = value
        elif name == "labels":
            labels[prefix + name] = value
        else:
            found, rest[name] = _without_labels(value, f"{prefix}{name}.")
            labels |= found
    return labels, rest


def known_models(client: MlflowClient, records: Iterable[JsonObject]) -> list[LoggedModelInput]:
    """The models in these records of artifacts that the tracking store knows."""
    known = []
    for model_id in filter(None, (record.get("model_id") for record in records)):
        try:
            client.get_logged_model(model_id)
            known.append(LoggedModelInput(model_id))
        except MlflowException:
            log.warning("the tracking store does not know the input model %s; was it made with another store?", model_id)
    return known
