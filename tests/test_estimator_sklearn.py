"""``TextClassifier`` among scikit-learn's tools, and with texts and labels in every form in which people have them."""

from __future__ import annotations

import copy
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from ulmfit import TextClassifier
from ulmfit.errors import UserError
from ulmfit.text.vocab import Vocab
from ulmfit.training import method

RNG = random.Random(0)
WORDS = {"a": ["cat", "dog", "bird"], "b": ["car", "bus", "train"]}
LABELS = list("ab" * 20)
TEXTS = [" ".join(RNG.choice([*WORDS[label], "the", "and"]) for _ in range(8)) for label in LABELS]
TINY = ("model.embedding=8", "model.hidden=8", "model.layers=1", "classifier.epochs=1", "pretrain.epochs=1", "finetune.epochs=1")


def classifier(**arguments: Any) -> TextClassifier:
    return TextClassifier(**{"preset": "tiny", "device": "cpu", "pretrained": None, "options": TINY} | arguments)


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    return classifier().fit(TEXTS, LABELS)


@pytest.mark.parametrize("copied", [lambda given: pickle.loads(pickle.dumps(given)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_copy_of_a_fitted_one_says_the_same(fitted: TextClassifier, copied: Any) -> None:
    other = copied(fitted)
    assert np.array_equal(other.predict_proba(TEXTS), fitted.predict_proba(TEXTS)) and other.get_params() == fitted.get_params()
    assert other.score(TEXTS, LABELS) == fitted.score(TEXTS, LABELS)


def test_a_clone_is_not_fitted_and_has_the_arguments(fitted: TextClassifier) -> None:
    other = clone(fitted).set_params(seed=3)
    assert not hasattr(other, "classes_") and other.get_params() == fitted.get_params() | {"seed": 3} and fitted.seed == 0


def test_in_a_pipeline_and_a_search() -> None:
    search = GridSearchCV(Pipeline([("classifier", classifier())]), {"classifier__seed": [0, 1]}, cv=2)
    search.fit(pd.Series(TEXTS, index=range(7, 47)), pd.Series(LABELS, dtype="category"))
    assert set(search.predict(TEXTS)) <= {"a", "b"} and len(search.cv_results_["mean_test_score"]) == 2
    assert cross_val_score(classifier(), np.array(TEXTS), LABELS, cv=2, scoring="neg_log_loss").shape == (2,)


@pytest.mark.slow
def test_on_two_processes() -> None:
    assert (
        cross_val_score(classifier(), TEXTS, LABELS, cv=2, n_jobs=2).tolist() == cross_val_score(classifier(), TEXTS, LABELS, cv=2).tolist()
    )


@pytest.mark.parametrize(
    "texts",
    [
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS, index=range(5, 45)),
        pd.Series(TEXTS, dtype="string"),
        pd.Series(TEXTS, dtype="category"),
        pd.Series(TEXTS, dtype="string[pyarrow]"),
        pd.Index(TEXTS),
        pa.array(TEXTS),
        pa.chunked_array([TEXTS[:3], TEXTS[3:]]),
        pa.array(TEXTS).dictionary_encode(),
    ],
    ids=lambda texts: type(texts).__name__,
)
def test_texts_of_any_kind(fitted: TextClassifier, texts: Any) -> None:
    assert np.array_equal(fitted.predict_proba(texts), fitted.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (np.array(TEXTS)[:, None], "texts is a table"),
        (pd.DataFrame({"text": TEXTS}), "texts is a table"),
        (pa.table({"text": TEXTS}), "texts is a table"),
        (pa.array(["a", None]), r"texts\[1\] is NoneType"),
        (pd.Series(["a", None], dtype="string"), r"texts\[1\] is NAType"),
    ],
)
def test_texts_of_no_kind(fitted: TextClassifier, texts: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        fitted.predict(texts)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([True, False] * 20, "bool"),
        (pd.Categorical([2, 1] * 20), "int64"),
        (pd.Series(LABELS, dtype="category"), "<U1"),
        (pd.Series([2, 1] * 20, dtype="Int64"), "int64"),
        (pa.array(LABELS), "<U1"),
        (pa.array(LABELS).dictionary_encode(), "<U1"),
        (pa.array([True, False] * 20), "bool"),
        (pa.chunked_array([[2, 1] * 20]), "int64"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_labels_of_any_kind_are_given_back(labels: Any, kind: str) -> None:
    given = classifier().fit(TEXTS, labels)
    values = labels.to_pylist() if hasattr(labels, "to_pylist") else list(labels)
    found = given.predict(TEXTS)
    assert isinstance(found, np.ndarray) and found.dtype == given.classes_.dtype == np.dtype(kind)
    assert given.classes_.tolist() == sorted(set(values))
    assert given.score(TEXTS, labels) == np.mean([one == other for one, other in zip(found.tolist(), values, strict=True)])


def test_texts_to_judge_by_are_not_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[int]] = {}
    original = method.train_classifier

    def noted(text: Any, *rest: Any) -> Any:
        seen[text.direction] = [len(text.train), len(text.valid), *text.valid.labels.tolist()]
        return original(text, *rest)

    monkeypatch.setattr(method, "train_classifier", noted)
    given = classifier().fit(TEXTS[:30], LABELS[:30], unlabelled=TEXTS[36:], eval_set=(pa.array(TEXTS[30:36]), np.array(LABELS[30:36])))
    assert seen == {direction: [30, 6, 0, 1, 0, 1, 0, 1] for direction in ("forward", "backward")}
    assert given.predict(TEXTS[:2]).shape == (2,)


@pytest.mark.parametrize(
    ("eval_set", "said"),
    [
        (TEXTS, "eval_set is no pair"),
        ((TEXTS[:2], ["a"]), "2 texts and 1 labels"),
        (([], []), "0 texts and 0 labels"),
        ((TEXTS[:2], ["a", "c"]), "the label 'c', which no text"),
        ((TEXTS[:2], [1, 0]), "strings alone or numbers alone"),
    ],
)
def test_what_cannot_be_judged_by_is_refused(eval_set: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        classifier().fit(TEXTS, LABELS, eval_set=eval_set)


def test_it_goes_on_from_another(fitted: TextClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "first")
    further = classifier(init=tmp_path / "first").fit(["a ship sails", "the dog", "a ship", "a dog"], ["sea", "land"] * 2)
    further.save(tmp_path / "second")
    first, second = (Vocab.load(tmp_path / name / "vocab.json") for name in ("first", "second"))
    assert second.tokens[: len(first)] == first.tokens and "bird" in second and "ship" in second and "ship" not in first
    assert TextClassifier.load(tmp_path / "second").init == str(tmp_path / "first")


def test_what_it_cannot_go_on_from(fitted: TextClassifier, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        classifier(init=tmp_path / "absent").fit(TEXTS, LABELS)
    fitted.save(tmp_path / "first")
    with pytest.raises(UserError, match="its rules is 'default', here it is 'fastai'"):
        classifier(init=tmp_path / "first", rules="fastai").fit(TEXTS, LABELS)


def test_without_the_workflow_there_is_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("ulmfit.estimator.import_module", absent)
    with pytest.raises(UserError, match="needs the workflow"):
        TextClassifier.from_registry("models:/x@champion")


class OfNumbers(TextClassifier):
    """Rows of numbers as texts, so that scikit-learn's checks, which make numbers, reach the rest of the classifier."""

    def fit(self, X: Any, y: Any, unlabelled: Any = None, eval_set: Any = None) -> OfNumbers:
        super().fit(_texts(validate_data(self, X)), y)
        return self

    def predict(self, X: Any) -> NDArray[Any] | list[list[Any]]:
        self._fitted()
        return super().predict(_texts(validate_data(self, X, reset=False)))

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        self._fitted()
        return super().predict_proba(_texts(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


def _texts(rows: NDArray[Any]) -> list[str]:
    return [" ".join(f"x{column}{'abcdefg'[int(np.clip(cell, -3, 3)) + 3]}" for column, cell in enumerate(row)) for row in rows]


NOT_MEANT = {
    "check_fit_score_takes_y": "the arguments are called texts and labels",
    "check_n_features_in_after_fitting": "texts have no features to count",
    "check_classifier_data_not_an_array": "labels are something that can be gone through; an object that only turns into an array is not",
    "check_classifiers_train": "it wants points in a plane told apart, after one pass of a model of eight units",
    "check_classifiers_regression_target": "half stars are labels too",
    "check_classifiers_multilabel_representation_invariance": "a list of lists holds each text's labels; 0 and 1 come as a table",
    "check_supervised_y_2d": "a column may be a label for each text, or whether it has the only label; nobody can tell, so it is refused",
    "check_fit2d_1sample": "it wants the error of a single text in words of its own",
}


@pytest.mark.slow
def test_scikit_learns_own_checks() -> None:
    arguments: dict[str, Any] = {"preset": "tiny", "device": "cpu", "pretrained": None, "options": TINY}
    check_estimator(TextClassifier(**arguments))
    found = check_estimator(OfNumbers(**arguments), on_fail=None, on_skip=None)
    failed = {check["check_name"]: str(check["exception"]) for check in found if check["status"] == "failed"}
    assert failed.keys() == NOT_MEANT.keys(), failed
