"""A new version is compared with the champion on the held-out rows of its own evaluation, by the gate; what comes of it is recorded.

What the champion predicted for these rows is read from its evaluation, if that was on the same rows; else it predicts them now. Rows that
it was trained on are left out then. The champion stays what it is: who moves the alias is another question (``champion.py``).
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.calls import EVALUATION_TAG, KEY_TAG
from tasks.champion import RegisteredModel
from tasks.registry import Version, fetch_bundle
from tasks.run import Job
from tasks.servers import patiently
from ulmfit.corpora.text_digests import fold
from ulmfit.decisions.decision import Author, Decision
from ulmfit.errors import RunFailed, UserError
from ulmfit.evaluation.comparable import Candidate, Rows
from ulmfit.evaluation.gate import judge
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.predictions import Predictions, WrittenPredictions, read_answers
from ulmfit.evaluation.slicing import slices_of
from ulmfit.evaluation.verdict import Verdict
from ulmfit.prediction.predictor import Predictor
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.outputs import Corpus, Evaluation, Model
from ulmfit.store.artifacts import Store
from ulmfit.store.filesystem import files
from ulmfit.store.lineage import Lineage
from ulmfit.store.temporary import temporary_folder

log = logging.getLogger(__name__)

TIMED = 15  # texts whose prediction is timed, each alone


@dataclass(frozen=True, eq=False)
class Challenger:
    """A version that was just trained: its model, and its evaluation on the documents of ``split`` of ``corpus``.

    ``slices``: further slices of these N documents, bool [N] by name. ``retraining``: id of the decision that it was trained by, if any.
    """

    version: Version
    model: Model
    evaluation: Evaluation
    corpus: Corpus
    split: str
    slices: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    retraining: str | None = None


@task(cache_policy=NO_CACHE, persist_result=False)
def compare(job: Job, challenger: Challenger, policy: GatePolicy) -> Decision | None:
    """The comparison with the champion, as it was recorded; None where the challenger is the champion. A comparison that was made before is found."""
    return patiently(job.workspace, lambda: _compare(job, challenger, policy))


def _compare(job: Job, challenger: Challenger, policy: GatePolicy) -> Decision | None:
    version = challenger.version
    model = RegisteredModel(job.workspace, job.tracker.client, version.name)
    champion = model.champion()
    if champion in (None, version.version):
        return None
    if found := model.history().comparison(version.version, champion, challenger.evaluation.key, policy):
        return found
    measured = _measured(job, challenger, model.version(champion))
    with model.lock():  # two comparisons at once do not count as one
        verdict = measured if isinstance(measured, Verdict) else judge(*measured.gate, model.history().comparisons, policy)
        decision = Decision.new(
            version.name,
            "compared",
            Author(kind="schedule" if challenger.retraining else "training", run_id=job.run_id),
            version=version.version,
            champion=champion,
            corpora=(challenger.corpus.key,),
            evaluations=(challenger.evaluation.key, *(() if isinstance(measured, Verdict) else measured.evaluations)),
            policy=policy,
            verdict=verdict,
            left_out=None if isinstance(measured, Verdict) else measured.left_out,
            retraining=challenger.retraining,
        )
        model.record(decision)
    log.info("%s compared with version %s: %s", version.uri, champion, decision.why)
    if decision.left_out:
        log.info("%d held-out rows were left out, for version %s was trained on them", decision.left_out, champion)
    return decision


@dataclass(frozen=True, eq=False)
class _Measured:
    """What the gate judges; the champion's ``evaluations`` that were read for it; rows ``left_out``."""

    gate: tuple[Rows, Candidate, Candidate]
    evaluations: tuple[str, ...]
    left_out: int


def _measured(job: Job, challenger: Challenger, champion: ModelVersion) -> _Measured | Verdict:
    """Both versions on the held-out rows; held where the champion's model cannot be had."""
    with temporary_folder("ulmfit-champion-") as folder:
        try:
            bundle = fetch_bundle(job.workspace, champion, folder)
            device = job.context.placement.device
            old, new = Predictor(bundle, device), Predictor(challenger.model.path, device)
        except (UserError, RunFailed) as error:
            return Verdict(outcome="held", reasons=[f"The champion's model cannot be read: {error}."])
        return _both(job.context.store, challenger, champion, (old, bundle), new)


def _both(store: Store, challenger: Challenger, champion: ModelVersion, old: tuple[Predictor, Path], new: Predictor) -> _Measured:
    found, texts = read_answers(challenger.evaluation.path), read_split(challenger.corpus, challenger.split).texts
    earlier = _earlier(store, champion, challenger, found.ids)
    shares = earlier[1].probabilities if earlier else old[0].probabilities(texts)
    kept = np.ones(len(texts), dtype=bool) if earlier else _unseen(texts, store, old[1])
    texts = [text for text, keep in zip(texts, kept, strict=True) if keep]
    labels = found.labels[kept]
    seconds = _seconds((old[0], new), texts)
    sides = zip((old[0], new), (shares[kept], found.probabilities[kept]), seconds, (old[1], challenger.model.path), strict=True)
    champions, challengers = (
        Candidate(predictor.task, predictor.labels, Predictions(predicted, None, predictor.thresholds), taken, sum(files(path).values()))
        for predictor, predicted, taken, path in sides
    )
    further = {name: mask[kept] for name, mask in challenger.slices.items()}
    rows = Rows(labels, found.names, slices_of(labels, found.names, texts) | further)
    return _Measured((rows, champions, challengers), (earlier[0],) if earlier else (), int((~kept).sum()))


def _earlier(store: Store, champion: ModelVersion, challenger: Challenger, ids: list[str]) -> tuple[str, WrittenPredictions] | None:
    """The champion's evaluation and what it predicted there, if that was for the same rows."""
    found = store.find("evaluation", champion.tags.get(EVALUATION_TAG, ""))
    same = {"corpus": challenger.corpus.key, "model": champion.tags.get(KEY_TAG)}
    if found is None or not same.items() <= found.manifest.inputs.items():
        return None
    try:
        predictions = read_answers(found.path)
    except (UserError, OSError):  # damaged, or cleared away
        return None
    return (found.key, predictions) if predictions.ids == ids else None


def _unseen(texts: Sequence[str], store: Store, bundle: Path) -> NDArray[np.bool_]:
    """bool [N]: which texts the champion was not trained on. It may have been on some: a corpus that grows without a test file is split anew."""
    try:
        ancestors = list(Lineage.read(bundle).artifacts.values())
    except OSError:
        ancestors = []
    keys = {found.inputs["corpus"] for found in ancestors if found.kind == "classifier"}
    corpora = [found for key in keys if (found := store.find("corpus", key))]
    if len(corpora) < max(len(keys), 1):
        log.warning(
            "the corpus that the champion was trained on is not in the store: if it has held-out rows of this one, they are not left out"
        )
    seen = {
        fold(text)
        for found in corpora
        for split in ("train", "valid")
        for text in read_split(Corpus(found.location, found.manifest, found.copy), split).texts
    }
    return np.array([fold(text) not in seen for text in texts], dtype=bool)


def _seconds(predictors: Sequence[Predictor], texts: Sequence[str]) -> list[float | None]:
    """Seconds for one text: the median over a few, which each model predicts alone, in turns. The first is not counted."""
    taken: list[list[float]] = [[] for _ in predictors]
    for text in [*texts[:1], *texts[:TIMED]]:
        for predictor, times in zip(predictors, taken, strict=True):
            started = time.perf_counter()
            predictor.probabilities([text], shown=False)
            times.append(time.perf_counter() - started)
    return [median(times[1:]) if len(times) > 1 else None for times in taken]
