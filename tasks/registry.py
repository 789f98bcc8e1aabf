"""The model registry: versions with everything that is needed to load them and to defend them."""

import logging
import tempfile
from collections.abc import Set
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelInput, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models.model import MLMODEL_FILE_NAME
from prefect import task
from prefect.cache_policies import NO_CACHE

import ulmfit
from tasks.calls import EVALUATION_TAG, KEY_TAG, find_model, known_models
from tasks.champion import RegisteredModel
from tasks.notices import notify
from tasks.promotion import CHALLENGER
from tasks.relocation import here
from tasks.run import Job
from tasks.servers import check_tracking, longest_wait, patiently, server_failures
from tasks.tracking import model_id
from tasks.workspace import Workspace
from ulmfit.decisions.decision import Author, Decision
from ulmfit.errors import UserError
from ulmfit.evaluation.abstention import Abstention, write_abstention
from ulmfit.evaluation.predictions import read_answers
from ulmfit.prediction.familiar import Familiar, write_familiar
from ulmfit.prediction.predictor import Predictor
from ulmfit.stages.outputs import Evaluation, Model
from ulmfit.store.lineage import Lineage
from ulmfit.store.temporary import temporary_folder, temporary_space

log = logging.getLogger(__name__)

REQUIREMENTS = ("torch", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "rich", "safetensors", "spacy", "scikit-learn")


@dataclass(frozen=True)
class Version:
    """A registered version: ``uri`` is what ``ulmfit predict`` and MLflow load."""

    name: str
    version: str
    model_id: str

    @property
    def uri(self) -> str:
        """As MLflow names it."""
        return f"models:/{self.name}/{self.version}"


@task(cache_policy=NO_CACHE, persist_result=False)
def register(
    job: Job, name: str, model: Model, evaluation: Evaluation, familiar: Familiar | None = None, retraining: str | None = None
) -> Version:
    """Register the bundle under ``name``, with the aliases of a new version; one that has its artifact key already is found again.

    ``familiar``: kept with it, see ``ulmfit/prediction/strangeness.py``. ``retraining``: id of the decision that it was trained by, if any.
    """
    job.tracker.outbox.wait(longest_wait())  # the version names models that MLflow is to know by then
    return patiently(job.workspace, lambda: _register(job, name, model, evaluation, familiar, retraining))


def _register(job: Job, name: str, model: Model, evaluation: Evaluation, familiar: Familiar | None, retraining: str | None) -> Version:
    """What was done before an interruption is found again."""
    client = job.tracker.client
    key, experiment, ancestors = model.key, job.tracker.experiment_id, Lineage.read(model.path).artifacts
    if found := find_version(client, name, key):
        _tag_forgotten(job, found, ancestors.keys())
        _make_first_champion(job, found, evaluation, retraining)
        return found
    logged = find_model(client, experiment, key, name) or client.create_logged_model(
        experiment, name, job.run_id, tags={KEY_TAG: key}, model_type="classifier"
    )
    with tempfile.TemporaryDirectory(prefix="ulmfit-model-") as folder:
        with temporary_space():
            save_pyfunc(model.path, Path(folder) / "model", held_out_rows(evaluation), familiar)
        client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    parts = {ancestor: model_id(found.record) for ancestor, found in ancestors.items() if found.kind == "classifier"}
    client.log_inputs(job.run_id, models=[LoggedModelInput(found) for found in known_models(client, experiment, parts)])
    client.log_outputs(job.run_id, [LoggedModelOutput(logged.model_id, 0)])
    version = _create_version(client, job, name, key, logged, evaluation)
    _tag_forgotten(job, version, ancestors.keys())
    _make_first_champion(job, version, evaluation, retraining)
    log.info("registered %s", version.uri)
    return version


def _create_version(client: MlflowClient, job: Job, name: str, key: str, logged: LoggedModel, evaluation: Evaluation) -> Version:
    try:
        client.create_registered_model(name, tags={"ulmfit": "classifier"})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    scores = evaluation.record.answer
    tags = {KEY_TAG: key, EVALUATION_TAG: evaluation.key} | {
        metric: f"{value:.4f}" for metric, value in scores.items() if value is not None
    }
    made = client.create_model_version(name, logged.artifact_location, job.run_id, tags=tags, model_id=logged.model_id)
    client.set_registered_model_alias(name, CHALLENGER, made.version)
    return Version(name, str(made.version), logged.model_id)


def _tag_forgotten(job: Job, version: Version, made_of: Set[str]) -> None:
    """A document of its corpus may have been forgotten while it was trained."""
    model = RegisteredModel(job.workspace, job.tracker.client, version.name)
    for decision in model.history().decisions:
        if decision.forgetting and not made_of.isdisjoint(decision.corpora):
            log.warning("%s had read documents that are forgotten since (%s)", version.uri, decision.id)
            model.tag_forgotten(version.version, decision)


def _make_first_champion(job: Job, version: Version, evaluation: Evaluation, retraining: str | None) -> None:
    """The first version becomes champion, by a decision that is recorded as all are. One in which a training was interrupted is completed."""
    model = RegisteredModel(job.workspace, job.tracker.client, version.name)
    by = Author(kind="schedule" if retraining else "training", run_id=job.run_id)
    begun = model.history().unfinished()
    try:
        if begun and begun.what == "first version":
            model.carry_out(begun, by)
        elif model.champion() is None:
            facts = {"version": version.version, "evaluations": (evaluation.key,), "retraining": retraining}
            decision = Decision.new(version.name, "first version", by, **facts)
            model.record(decision)
            model.carry_out(decision)
            notify(decision)
    except UserError as error:  # another training was first
        log.info("%s", error)


def find_version(client: MlflowClient, name: str, key: str) -> Version | None:
    """The version of ``name`` made from the artifact ``key``."""
    versions = client.search_model_versions(f"name = '{name}'")
    return next((Version(name, str(found.version), found.model_id or "") for found in versions if found.tags.get(KEY_TAG) == key), None)


def held_out_rows(evaluation: Evaluation) -> Abstention | None:
    """How sure and how right the model is on the rows that it was evaluated on; None where a row may have any number of labels."""
    found = read_answers(evaluation.path)
    return Abstention.of(found.probabilities, found.labels) if found.labels.ndim == 1 else None


def save_pyfunc(bundle: Path, folder: Path, held_out: Abstention | None = None, familiar: Familiar | None = None) -> None:
    """Write the bundle, and ``held_out`` and ``familiar`` beside it, as an MLflow pyfunc that carries its own code, so a server needs only the requirements.

    MLflow reads paths as addresses, in which ``?`` and ``%`` mean something else: it is given URIs. There is no signature: with one
    of a column ``text``, MLflow makes the string "None" of a null, and refuses lists, arrays, Series and single strings.
    """
    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"bundle": bundle.absolute().as_uri()},
        code_paths=[str(Path(ulmfit.__file__).parent)],
        pip_requirements=[f"{name}=={metadata.version(name).split('+')[0]}" for name in REQUIREMENTS],
    )
    if held_out:
        write_abstention(_bundle_in(folder), held_out)
    if familiar:
        write_familiar(_bundle_in(folder), familiar)


def resolve(workspace: Workspace, uri: str) -> ModelVersion:
    """The version behind ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``; UserError where there is none."""
    if workspace.tracks_itself and not workspace.database.exists():  # MLflow would make one
        raise UserError(f"{uri}: the workspace {workspace.root} has no models; train one, or name another with --workspace")
    check_tracking(workspace)
    client = MlflowClient(workspace.tracking_uri)
    body = uri.removeprefix("models:/").strip("/")
    try:
        if "@" in body:
            name, _, alias = body.partition("@")
            return client.get_model_version_by_alias(name, alias)
        name, _, version = body.partition("/")
        return client.get_model_version(name, version)
    except MlflowException as error:
        with server_failures(workspace):
            known = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none"
        raise UserError(
            f"{uri}: no such registered version; write models:/NAME@ALIAS or models:/NAME/VERSION (models there are: {known})"
        ) from error


def fetch_bundle(workspace: Workspace, version: ModelVersion, folder: Path) -> Path:
    """The bundle of a registered version: where it lies in the workspace, else downloaded into ``folder``."""
    if workspace.tracks_itself and version.source:
        path = here(workspace, version.source)
    else:
        tracking_uri = workspace.tracking_uri
        mlflow.set_tracking_uri(tracking_uri)
        name = f"models:/{version.name}/{version.version}"
        with server_failures(workspace):
            download = lambda: mlflow.artifacts.download_artifacts(name, dst_path=str(folder), tracking_uri=tracking_uri)
            path = Path(patiently(workspace, download))
    try:
        return _bundle_in(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: the files of {version.name} version {version.version} are missing; bring them back, or train it again"
        ) from error


def _bundle_in(pyfunc: Path) -> Path:
    saved = yaml.safe_load((pyfunc / MLMODEL_FILE_NAME).read_bytes())  # MLflow's own reader takes no path with ? or %
    return Path(pyfunc / saved["flavors"]["python_function"]["artifacts"]["bundle"]["path"])


def load_version(workspace: Workspace, version: ModelVersion, device: str = "cpu") -> Predictor:
    """The model of a registered version. UserError where its files are missing or damaged."""
    with temporary_folder("ulmfit-predict-") as folder:
        return Predictor(fetch_bundle(workspace, version, folder), device)


@dataclass(frozen=True)
class VersionLineage:
    """A registered version, its aliases and tags, and everything behind it. ``forgotten``: keys of corpora that held what is forgotten since."""

    model: str
    version: str
    aliases: list[str]
    tags: dict[str, str]
    lineage: Lineage
    forgotten: frozenset[str] = frozenset()


def version_lineage(workspace: Workspace, uri: str) -> VersionLineage:
    """The lineage of a registered version, read from the version itself."""
    version = resolve(workspace, uri)
    with temporary_folder("ulmfit-lineage-") as folder:
        lineage = Lineage.read(fetch_bundle(workspace, version, folder))
    model = RegisteredModel(workspace, MlflowClient(workspace.tracking_uri), version.name)
    forgotten = model.history().forgotten & lineage.artifacts.keys()
    return VersionLineage(version.name, str(version.version), list(version.aliases), dict(version.tags), lineage, forgotten)
