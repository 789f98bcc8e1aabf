"""What a run tells MLflow: calls as values, which can be kept on disk, and how each is made. To make one twice does no harm.

A stage's run is named by the key of its artifact, for MLflow gives a run its id only when it answers: the run is found by its tag.
"""

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, LoggedModelInput, LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from pydantic import ConfigDict, Field, TypeAdapter
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from tasks.outbox import Undelivered
from tasks.servers import away, cause
from ulmfit.store.json import Facts

log = logging.getLogger(__name__)

KEY_TAG = "ulmfit.artifact"
EVALUATION_TAG = "ulmfit.evaluation.results"
PARENT_TAG = "mlflow.parentRunId"
PARAMETERS = 100  # in one call, for MLflow
CARD_LINE = "[Model card"  # what a description of ours begins with
LONGEST_DATASET = 500  # letters of its name, for MLflow
REFUSED, BROKEN = 3, 25  # tries before a call is set aside: one that MLflow refuses; one that fails elsewhere, after some five minutes


class StageRun(Facts):
    """The run of a stage: it tracks the artifact ``key``. ``parent``: id of the flow's run."""

    experiment: str
    name: str
    key: str
    parent: str


Run = str | StageRun  # the id of a flow's run, or a stage's


class Begin(Facts):
    """Open the run of a stage: the one that failed on its artifact before, or a new one. The answer is its id."""

    call: Literal["begin"] = "begin"
    run: StageRun


class Points(Facts):
    """Points of curves: name, value, milliseconds since the epoch, step."""

    model_config = ConfigDict(ser_json_inf_nan="constants")
    call: Literal["points"] = "points"
    run: Run
    points: list[tuple[str, float, int, int]]


class Notes(Facts):
    """Tags and parameters."""

    call: Literal["notes"] = "notes"
    run: Run
    tags: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, str] = Field(default_factory=dict)


class Text(Facts):
    """A file of a run."""

    call: Literal["text"] = "text"
    run: Run
    file: str
    text: str


class Folder(Facts):
    """A folder of files of a run, under the name ``to``."""

    call: Literal["folder"] = "folder"
    run: Run
    folder: str
    to: str


class Read(Facts):
    """What a stage reads, by its role: kind and key of the artifact. ``models``: which of them are models, by key, with the id that is known."""

    call: Literal["read"] = "read"
    run: StageRun
    artifacts: dict[str, tuple[str, str]]
    models: dict[str, str | None]


class Used(Facts):
    """What a run that trains nothing reads: a data set with the digest of its content, and a registered version (name, version), if it is one."""

    call: Literal["used"] = "used"
    run: str
    dataset: str
    digest: str
    version: tuple[str, str] | None


class Described(Facts):
    """The description of a registered version, and small files beside it by name. A description that somebody wrote stays."""

    call: Literal["described"] = "described"
    name: str
    version: str
    description: str
    files: dict[str, str]


class MadeModel(Facts):
    """The model that a stage made, with small files of it by name. The answer is its id."""

    call: Literal["made model"] = "made model"
    run: StageRun
    kind: str
    files: dict[str, str]


class End(Facts):
    """The end of a run."""

    call: Literal["end"] = "end"
    run: Run
    status: str


Call = Begin | Points | Notes | Text | Folder | Read | Used | Described | MadeModel | End
CALL: TypeAdapter[Call] = TypeAdapter(Annotated[Call, Field(discriminator="call")])


class Caller:
    """Makes calls to one tracking server."""

    def __init__(self, uri: str):
        self.client = MlflowClient(uri)
        self._ids: dict[str, str] = {}  # of stages' runs, by key

    def deliver(self, entry: bytes) -> str | None:
        """Make a call that was kept; its answer. Raises Undelivered."""
        call = CALL.validate_json(entry)
        try:
            return self.make(call)
        except MlflowException as error:
            tries = (BROKEN if away(error) else REFUSED) if self._answers() else None
            raise Undelivered(cause(error), tries) from error
        except FileNotFoundError as error:  # of a folder that somebody removed
            raise Undelivered(cause(error), REFUSED) from error
        except Exception as error:  # of the place where MLflow keeps files: each has its own kind
            raise Undelivered(cause(error), BROKEN) from error

    def _answers(self) -> bool:
        """Whether the server does its work, so that it is the call that it does not take."""
        try:
            self.client.search_experiments(max_results=1)
        except MlflowException:
            return False
        return True

    def make(self, call: Call) -> str | None:
        """Make a call; its answer. Raises MlflowException."""
        match call:
            case Begin():
                return self._begin(call.run)
            case Points():
                metrics = [Metric(name, value, time, step) for name, value, time, step in call.points]
                self.client.log_batch(self._id(call.run), metrics=metrics)
            case Notes():
                self._note(call)
            case Text():
                self.client.log_text(self._id(call.run), call.text, call.file)
            case Folder():
                self.client.log_artifacts(self._id(call.run), call.folder, call.to)
            case Read():
                self._read(call)
            case Used():
                self._use(call)
            case Described():
                self._describe(call)
            case MadeModel():
                return self._made_model(call)
            case End():
                self.client.set_terminated(self._id(call.run), call.status)
        return None

    def _id(self, run: Run) -> str:
        if isinstance(run, str):
            return run
        if run.key not in self._ids:
            self._ids[run.key] = self._found(run) or self._begin(run)
        return self._ids[run.key]

    def _found(self, run: StageRun) -> str | None:
        found = self.client.search_runs([run.experiment], f"tags.`{KEY_TAG}` = '{run.key}'", max_results=1)
        return found[0].info.run_id if found else None

    def _begin(self, run: StageRun) -> str:
        run_id = self._found(run)
        if run_id is None:
            tags = {KEY_TAG: run.key, PARENT_TAG: run.parent}
            run_id = self.client.create_run(run.experiment, tags=tags, run_name=run.name).info.run_id
        else:
            self.client.update_run(run_id, status="RUNNING")
            self.client.set_tag(run_id, PARENT_TAG, run.parent)
        self._ids[run.key] = run_id
        return run_id

    def _note(self, call: Notes) -> None:
        run_id = self._id(call.run)
        params = [Param(name, value) for name, value in call.parameters.items()]
        if call.tags:
            self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in call.tags.items()])
        for start in range(0, len(params), PARAMETERS):
            self.client.log_batch(run_id, params=params[start : start + PARAMETERS])

    def _read(self, call: Read) -> None:
        source = lambda kind, key: Dataset(kind, key[:32], "local", json.dumps({"artifact": f"{kind}/{key}"}))
        datasets = [
            DatasetInput(source(kind, key), [InputTag("mlflow.data.context", role)]) for role, (kind, key) in call.artifacts.items()
        ]
        models = [LoggedModelInput(found) for found in known_models(self.client, call.run.experiment, call.models)]
        # Two processes that note the same data for the first time race, and the server lets one of them fail.
        often = Retrying(
            retry=retry_if_exception_type(MlflowException), stop=stop_after_attempt(4), wait=wait_random(0.05, 0.3), reraise=True
        )
        often(self.client.log_inputs, self._id(call.run), datasets=datasets, models=models)

    def _use(self, call: Used) -> None:
        source = json.dumps({"location": call.dataset})
        dataset = DatasetInput(
            Dataset(call.dataset[-LONGEST_DATASET:], call.digest[:32], "local", source), [InputTag("mlflow.data.context", "score")]
        )
        model = logged_model(self.client, *call.version) if call.version else None
        self.client.log_inputs(call.run, datasets=[dataset], models=[LoggedModelInput(model.model_id)] if model else [])

    def _describe(self, call: Described) -> None:
        if model := logged_model(self.client, call.name, call.version):
            self._add_files(model.model_id, call.files)
        present = self.client.get_model_version(call.name, call.version).description
        if not present or present.startswith(CARD_LINE):
            self.client.update_model_version(call.name, call.version, call.description)

    def _add_files(self, model: str, files: Mapping[str, str]) -> None:
        with tempfile.TemporaryDirectory(prefix="ulmfit-model-") as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
                self.client.log_model_artifact(model, str(Path(folder) / name))

    def _made_model(self, call: MadeModel) -> str:
        run_id = self._id(call.run)
        model = find_model(self.client, call.run.experiment, call.run.key)
        if model is None:
            tags = {KEY_TAG: call.run.key}
            model = self.client.create_logged_model(call.run.experiment, call.run.name, run_id, tags=tags, model_type=call.kind)
        self._add_files(model.model_id, call.files)
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        return model.model_id


def find_model(client: MlflowClient, experiment: str, key: str, name: str | None = None) -> LoggedModel | None:
    """The model that was made from the artifact ``key``, of that name."""
    found = client.search_logged_models([experiment], f"tags.`{KEY_TAG}` = '{key}'")
    return next((model for model in found if name in (None, model.name)), None)


def logged_model(client: MlflowClient, name: str, version: str) -> LoggedModel | None:
    """The logged model behind a registered version, which MLflow's database does not keep the id of; None where it is deleted."""
    try:
        found = client.get_model_version(name, version)
        experiment = client.get_run(found.run_id or "").info.experiment_id
    except MlflowException as error:
        if away(error):
            raise
        return None
    return find_model(client, experiment, found.tags.get(KEY_TAG, ""), name)


def known_models(client: MlflowClient, experiment: str, models: Mapping[str, str | None]) -> list[str]:
    """The ids of models that the tracking store knows, of those with these keys; their ids, where they were noted."""
    known = []
    for key, model_id in models.items():
        try:
            found = client.get_logged_model(model_id) if model_id else find_model(client, experiment, key)
        except MlflowException as error:
            if away(error):
                raise
            log.warning("the tracking store does not know the input model %s; was it made with another store?", model_id)
            continue
        if found:
            known.append(found.model_id)
    return known
