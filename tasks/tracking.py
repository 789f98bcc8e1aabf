"""MLflow: runs, curves, inputs and outputs. Run ids are passed by hand; the active run is never used.

The active run of MLflow's fluent interface belongs to a thread; stages run in several. What a run tells goes through an outbox on disk, so
that a server that is away for a while stops no training.
"""

import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, ViewType
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
from pydantic import BaseModel, JsonValue

from tasks.calls import PARENT_TAG, Begin, Call, Caller, End, Folder, MadeModel, Notes, Points, Read, StageRun, Text
from tasks.outbox import Outbox
from tasks.relocation import settle
from tasks.servers import longest_wait, without_password
from tasks.workspace import Workspace
from ulmfit.errors import UserError
from ulmfit.store.artifacts import Artifact
from ulmfit.store.json import JsonObject
from ulmfit.store.recipe import Recipe, flatten, stable

log = logging.getLogger(__name__)

EXPERIMENTS = "ulmfit-"  # what the names of ours begin with
FLUSH_METRICS, FLUSH_SECONDS = 200, 5.0  # one batch costs about what ten single metrics do
LONGEST_METRIC = 250  # letters of its name, for MLflow
LONGEST_PARAMETER = 500  # letters
BATCH = 1000  # points in one call, for MLflow
SYSTEM_METRICS_EVERY = 5.0  # seconds
LAST_WAIT_FAILED = 10.0  # seconds at the end of a run that failed, for a server that is away
FILES_OF_MODELS = ("config.json", "history.json")  # a model that was brought has no history


@dataclass(frozen=True)
class Tracker:
    """One experiment of one tracking server, and the outbox for it."""

    uri: str
    experiment_id: str
    outbox: Outbox

    @classmethod
    def open(cls, workspace: Workspace, experiment: str) -> Self:
        """The named experiment, made if it is not there. UserError where somebody has deleted it in MLflow."""
        uri = workspace.tracking_uri
        with settled(workspace) as client:
            found = client.get_experiment_by_name(experiment)
            if found and found.lifecycle_stage == LifecycleStage.DELETED:
                raise UserError(f"{_deleted(found)}; {_restore(found, uri)}")
            own = (workspace.mlflow_artifacts / experiment).as_uri() if uri.startswith("sqlite") else None
            experiment_id = found.experiment_id if found else client.create_experiment(experiment, artifact_location=own)
        return cls(uri, experiment_id, open_outbox(workspace))

    @property
    def client(self) -> MlflowClient:
        """A client of the tracking server."""
        return MlflowClient(self.uri)

    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        """A new run's id."""
        of = {PARENT_TAG: parent} if parent else {}
        return self.client.create_run(self.experiment_id, tags={**tags, **of}, run_name=name).info.run_id

    def stage(self, name: str, key: str, parent: str) -> "TrackedStage":
        """The run that tracks the artifact ``key``, begun: the one that failed on it before, or a new one."""
        return TrackedStage(self, StageRun(experiment=self.experiment_id, name=name, key=key, parent=parent))

    def tell(self, call: Call) -> "Future[str | None]":
        """Have a call made, now or as soon as the server is there."""
        return self.outbox.put(call.model_dump_json())

    def note_stage(self, run_id: str, name: str, artifact: Artifact, cached: bool) -> None:
        """Tag a flow's run with what came of a stage."""
        told = f"{artifact.key} run={artifact.run_id} {'cached' if cached else 'made'}"
        self.tell(Notes(run=run_id, tags={f"ulmfit.stage.{name}": told}))

    def log_settings(self, run_id: str, settings: Mapping[str, object] | BaseModel) -> None:
        """Log settings as parameters of a run; long values are cut."""
        self.tell(Notes(run=run_id, parameters=parameters(settings)))

    def log_json(self, run_id: str, file: str, value: JsonValue) -> None:
        """Log a value as a file of a run."""
        self.tell(Text(run=run_id, file=file, text=json.dumps(value, indent=2)))

    def log_folder(self, run_id: str, folder: Path, to: str) -> None:
        """Log the files of a folder, which stays as it is."""
        self.tell(Folder(run=run_id, folder=str(folder), to=to))

    def end(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run."""
        self.tell(End(run=run_id, status=status))

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a flow's run, and with it this tracker."""
        self.end(run_id, status)
        self.close(patient=status == "FINISHED")

    def close(self, patient: bool = True) -> None:
        """End this tracker. What cannot be told to the server within a while is kept; the log says how it is sent."""
        if remaining := self.outbox.close(longest_wait() if patient else LAST_WAIT_FAILED):
            log.warning(
                "%s does not answer: %d entries about runs are kept in %s; the next run in this workspace sends them, or: ulmfit send",
                self.outbox.server,
                remaining,
                self.outbox.folder,
            )


def open_outbox(workspace: Workspace) -> Outbox:
    """The outbox for the workspace's tracking server; it sends at once what earlier runs left behind. Retrying is its work, not MLflow's."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    uri = workspace.tracking_uri
    folder = workspace.outbox / hashlib.sha256(without_password(uri).encode()).hexdigest()[:16]
    return Outbox(folder, f"MLflow at {without_password(uri)}", Caller(uri).deliver)


def parameters(settings: Mapping[str, object] | BaseModel) -> dict[str, str]:
    """Settings as MLflow takes them."""
    return {name: str(value)[:LONGEST_PARAMETER] for name, value in flatten(stable(settings)).items()}


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


class TrackedStage:
    """The tracked run of one stage: parameters, buffered curves, inputs and outputs."""

    def __init__(self, tracker: Tracker, run: StageRun):
        self._tracker, self._run = tracker, run
        self._buffer: list[tuple[str, float, int, int]] = []
        self._flushed, self._lock = time.monotonic(), threading.Lock()
        self._begun = tracker.tell(Begin(run=run))

    @property
    def run_id(self) -> str | None:
        """Its id; None while MLflow is away."""
        return self._tracker.outbox.answer(self._begun)

    def observe(self, step: int, values: Mapping[str, float]) -> None:
        """Note points of curves; they are sent in batches."""
        now = int(time.time() * 1000)
        with self._lock:
            self._buffer += [(name, float(value), now, step) for name, value in values.items()]
            if len(self._buffer) < FLUSH_METRICS and time.monotonic() - self._flushed < FLUSH_SECONDS:
                return
        self.flush()

    def flush(self) -> None:
        """Hand what is buffered to the outbox."""
        with self._lock:
            points, self._buffer = self._buffer, []
            self._flushed = time.monotonic()
            for start in range(0, len(points), BATCH):
                self._tracker.tell(Points(run=self._run, points=points[start : start + BATCH]))

    def describe(self, recipe: Recipe) -> None:
        """Log the recipe: settings as parameters, identity as tags."""
        tags = {"ulmfit.kind": recipe.kind, "ulmfit.inputs": json.dumps(dict(recipe.inputs))}
        self._tracker.tell(Notes(run=self._run, tags=tags, parameters=parameters(recipe.config)))

    def inputs(self, artifacts: Mapping[str, Artifact]) -> None:
        """Log what the stage reads: artifacts as datasets with their digests, and those that are models also by their ids."""
        read = {role: (artifact.kind, artifact.key) for role, artifact in artifacts.items()}
        models = {artifact.key: model_id(artifact.manifest.record) for artifact in artifacts.values() if is_model(artifact)}
        self._tracker.tell(Read(run=self._run, artifacts=read, models=models))

    def output_model(self, recipe: Recipe, folder: Path) -> str | None:
        """Log the model in ``folder`` as this run's output and return its id, None while MLflow is away. Its weights stay in the artifact store."""
        files = {file: (folder / file).read_text() for file in FILES_OF_MODELS if (folder / file).exists()}
        return self._tracker.outbox.answer(self._tracker.tell(MadeModel(run=self._run, kind=recipe.kind, files=files)))

    def result(self, record: Mapping[str, JsonValue]) -> None:
        """Log the record's numbers as the run's final metrics, and counts by label as a file: no name is made of a user's strings."""
        labels, rest = _without_labels(record)
        if labels:
            self._tracker.tell(Text(run=self._run, file="labels.json", text=json.dumps(labels, indent=2)))
        numbers = {name: value for name, value in flatten(rest).items() if isinstance(value, int | float) and not isinstance(value, bool)}
        self.observe(0, {metric_name(f"result.{name}"): value for name, value in numbers.items()})
        self.flush()

    def finish(self, status: str = "FINISHED") -> None:
        """End the run."""
        self.flush()
        self._tracker.tell(End(run=self._run, status=status))

    @contextmanager
    def system_metrics(self) -> Iterator[None]:
        """Sample the machine's load into the run while the block runs."""
        ended = threading.Event()
        thread = threading.Thread(target=self._sample, args=(ended,), daemon=True, name="load")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _sample(self, ended: threading.Event) -> None:
        monitors: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with suppress(ImportError, RuntimeError):  # no GPU
            monitors.append(GPUMonitor())
        step = 0
        while not ended.is_set():
            for monitor in monitors:
                monitor.collect_metrics()
            if ended.wait(SYSTEM_METRICS_EVERY):
                return
            load = {f"system/{name}": value for monitor in monitors for name, value in monitor.aggregate_metrics().items()}
            self.observe(step, load)
            for monitor in monitors:
                monitor.clear_metrics()
            step += 1


def is_model(artifact: Artifact) -> bool:
    """Whether MLflow is told of it as a model, too."""
    return artifact.kind in ("language-model", "classifier")


def model_id(record: JsonObject) -> str | None:
    """The id in the record of a model; None where MLflow was away when it was made."""
    return record.get("model_id")


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
