"""Measure a model on the test rows of its corpus, or its validation rows, beside the baseline trained on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ulmfit.config import ClassifierConfig, Settings
from ulmfit.directions import DIRECTIONS, ENSEMBLE, WITH_WORDS
from ulmfit.evaluation import baseline
from ulmfit.evaluation.calibration import fit_thresholds
from ulmfit.evaluation.evaluate import evaluate
from ulmfit.evaluation.mixture import EQUAL
from ulmfit.evaluation.predictions import HeldOut, Predictions, write_predictions
from ulmfit.evaluation.results import FILE
from ulmfit.labels.drawing import rows_to_judge, rows_to_learn
from ulmfit.labels.label_set import LabelSet
from ulmfit.prediction.predictor import Predictor
from ulmfit.shards.documents import Documents
from ulmfit.stages.outputs import Corpus, Evaluation, IdShards, Model
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.store.artifacts import Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe

EVALUATE_VERSION = 2


def measure(corpus: Corpus, ids: IdShards, model: Model, scratch: Model | None, settings: Settings) -> Stage[Evaluation]:
    """Scores of each direction, of their average, of the ensemble with words where they are a member, and of TF-IDF + logistic regression trained on the same rows.

    Of ``settings``: ``evaluate``, ``labels`` and ``judge``.
    """
    config = settings.evaluate
    inputs = {"corpus": corpus, "ids": ids, "model": model} | ({"scratch": scratch} if scratch else {})
    drawn = {"labels": labels} if (labels := settings.labels.keyed()) else {}
    judged = {"judge": settings.judge} if settings.judge != "test" else {}
    recipe = Recipe("evaluation", EVALUATE_VERSION, {**config.keyed(), **drawn, **judged}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        device, test, rows = context.placement.device, Documents.open(ids.path, [settings.judge]), read_split(corpus, settings.judge)
        assert rows.ids == test.ids, "shards and corpus parts stand in one order"
        predictor, strings = Predictor(model.path, device), corpus.record.labels
        labels = LabelSet.of(strings, ClassifierConfig(task=predictor.task, label_separator=predictor.separator))
        sample = rows_to_judge(labels.strata_of(test.labels), config)
        test, rows = test.take(sample), rows.take(sample.tolist())
        systems = _systems(predictor, test, rows.texts, "")
        if scratch:
            systems |= _systems(Predictor(scratch.path, device), test, rows.texts, " from scratch")
        systems[baseline.NAME] = _baseline(corpus, rows.texts, labels, settings)
        documents = HeldOut(test.ids, rows.texts, labels.truth_of(test.labels), labels.names)
        results = evaluate(systems, documents, config)
        write_predictions(work, systems, documents)
        write_bytes(work / FILE, results.to_json().encode())
        return Built(results.record().model_dump())

    return Stage(Evaluation, recipe, inputs, build)


def _systems(predictor: Predictor, test: Documents, texts: list[str], suffix: str) -> dict[str, Predictions]:
    """What each direction predicts, and their average; where words are a member, what they predict, and what all three do."""
    logits = predictor.logits_of(test)
    after, before = predictor.read(logits, calibrated=True), predictor.read(logits, calibrated=False)
    found = {
        f"{direction}{suffix}": Predictions(after[direction], before[direction], predictor.thresholds_of(direction))
        for direction in DIRECTIONS
    }
    mean, plain = (EQUAL.join({direction: shares[direction] for direction in DIRECTIONS}, predictor.task) for shares in (after, before))
    found[f"{ENSEMBLE}{suffix}"] = Predictions(mean, plain, predictor.thresholds_of_directions)
    if predictor.words:
        members = predictor.with_words(after, texts)
        answer, uncalibrated = predictor.join(members), predictor.join(members, calibrated=False)
        found[f"words{suffix}"] = Predictions(members["words"])
        found[f"{WITH_WORDS}{suffix}"] = Predictions(answer, uncalibrated, predictor.thresholds)
    return found


def _baseline(corpus: Corpus, tests: list[str], labels: LabelSet, settings: Settings) -> Predictions:
    """The baseline. Thresholds of several labels are fitted as the model's are, on the validation documents."""
    strings, train, seed = corpus.record.labels, read_split(corpus, "train"), settings.evaluate.seed
    train = train.take(rows_to_learn(labels.strata_of(train.codes(strings)), settings.labels).tolist())
    truth = labels.truth_of(train.codes(strings))
    if labels.task == "multi-class":
        return Predictions(baseline.baseline_probabilities(train.texts, truth, tests, seed, len(labels)))
    valid = read_split(corpus, "valid")
    found = baseline.baseline_probabilities(train.texts, truth, [*valid.texts, *tests], seed, len(labels))
    first, rest = np.split(found, [len(valid.texts)])
    return Predictions(rest, None, fit_thresholds(first, labels.truth_of(valid.codes(strings))))


@dataclass(frozen=True)
class SplitRows:
    """The documents of one split, in the order of the corpus's parts."""

    ids: list[str]
    texts: list[str]
    labels: list[str | None]

    def codes(self, strings: Sequence[str]) -> NDArray[np.int64]:
        """int64 [N]: where each document's label stands among ``strings``."""
        codes = {label: code for code, label in enumerate(strings)}
        return np.array([codes[label] for label in self.labels if label is not None], dtype=np.int64)

    def take(self, rows: Sequence[int]) -> Self:
        """The documents ``rows``."""
        return type(self)([self.ids[row] for row in rows], [self.texts[row] for row in rows], [self.labels[row] for row in rows])


def read_split(corpus: Corpus, split: str) -> SplitRows:
    """The documents of a split, whole, also those that are stored in pieces."""
    rows = SplitRows([], [], [])
    for part in corpus.record.parts:
        columns, chosen = ["id", "text", "label", "piece"], [("split", "=", split)]
        for row in pq.read_table(corpus.path / f"{part.name}.parquet", columns=columns, filters=chosen).to_pylist():
            if row["piece"]:  # a long document goes on
                rows.texts[-1] += row["text"]
            else:
                rows.ids.append(row["id"])
                rows.texts.append(row["text"])
                rows.labels.append(row["label"])
    return rows
