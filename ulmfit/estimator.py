"""``TextClassifier``: the method as a scikit-learn estimator, on the same code as the DAG and without a server."""

import json
import math
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from numbers import Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags

from ulmfit.compute.devices import resolve_device
from ulmfit.config import Settings
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.evaluation.abstention import FILE as ABSTENTION
from ulmfit.evaluation.metrics import decisions
from ulmfit.labels.estimator_labels import Kind, check_classes, listed_labels, same_sets
from ulmfit.labels.labelled_texts import LabelledTexts, listed_texts
from ulmfit.prediction.bundle import FILES, LINEAGE, WITH_WORDS, Bundle, missing
from ulmfit.prediction.familiar import FILE as FAMILIARITY
from ulmfit.prediction.predictor import Predictor
from ulmfit.presets import override, preset
from ulmfit.pretrained.catalog import shipped_for
from ulmfit.pretrained.from_classifier import language_models_of
from ulmfit.pretrained.transport import pretrained
from ulmfit.store.filesystem import output_folder, write_bytes
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training.amounts import Choice
from ulmfit.training.from_texts import Budget, Callback, FitProgress, TextsTraining

NOTE = "estimator.json"  # beside a saved bundle: the constructor's arguments, and the classes in their own type


class TextClassifier(ClassifierMixin, BaseEstimator):
    """ULMFiT, forward and backward averaged.

    preset: "tiny", "small" or "base".
    lang, rules: of the tokenizer.
    pretrained: the language models to start from: a known name, a folder with ``forward/`` and ``backward/``, or "auto": the ones that
        come with the project, if they fit the preset, the language, the rules and the options. With None, or where "auto" finds none
        that fit, they are trained on the texts given to ``fit``.
    device: "auto", "cpu" or "cuda".
    seed: of every random choice.
    options: settings to change, as ``("classifier.epochs=8", ...)``.
    minutes: ``fit`` trains less than usual, so that it ends within this time on this machine; None: as much as usual.
    init: the folder of a trained classifier. ``fit`` starts from its encoders and words, not from ``pretrained``. Its labels may differ.

    ``classes_`` [L], sorted, exists once the estimator is fitted or loaded. ``choice_``, the amounts that were chosen, exists once it is
    fitted with ``minutes``.
    """

    classes_: NDArray[Any]
    choice_: Choice
    _kind: Kind
    _predictor: Predictor

    def __init__(
        self,
        preset: str = "small",
        lang: str = "en",
        rules: str = "default",
        pretrained: str | Path | None = "auto",
        device: str = "auto",
        seed: int = 0,
        options: Sequence[str] = (),
        minutes: float | None = None,
        init: str | Path | None = None,
    ):
        self.preset = preset
        self.lang = lang
        self.rules = rules
        self.pretrained = pretrained
        self.device = device
        self.seed = seed
        self.options = options
        self.minutes = minutes
        self.init = init

    def fit(
        self,
        texts: Iterable[str],
        labels: Any,
        unlabelled: Iterable[str] | None = None,
        eval_set: tuple[Iterable[str], Any] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Train a language model on all texts, then a classifier on the labelled ones; both directions.

        ``labels``: a string or number per text; or, where a text has any number of labels, a list (tuple, set) of them per text,
        or a table of 0 and 1 [N, L]. Texts and labels may be lists, numpy arrays, pandas' or Arrow's columns. ``eval_set``: texts and labels
        to validate by; without it a share of ``texts``. ``callbacks``: each is called with a :class:`FitProgress` as the training goes
        on, never two at a time; an exception in one ends the training and is raised. Raises UserError (a ValueError) for input that cannot be learnt from.
        """
        budget = self._budget()
        texts = listed_texts(texts, "texts")
        further = [] if unlabelled is None else listed_texts(unlabelled, "unlabelled")
        settings = self._settings()
        labelled = LabelledTexts.read(texts, labels, eval_set, settings)
        if labelled.labels.kind != "class":
            settings = settings.model_copy(update={"classifier": settings.classifier.model_copy(update={"task": "multi-label"})})
        device = resolve_device(self.device)
        tokenizer = Tokenizer(settings.text.lang, settings.text.rules)
        with tempfile.TemporaryDirectory(prefix="ulmfit-fit-") as work:
            start, known = self._start(settings, tokenizer, Path(work) / "init")
            training = TextsTraining(Path(work), settings, start, device, known, _in_turn(callbacks))
            self._predictor, choice = training.run(tokenizer, labelled, further, budget)
        if choice:
            self.choice_ = choice
        self.classes_, self._kind = labelled.labels.classes, labelled.labels.kind
        return self

    def _budget(self) -> Budget | None:
        """``minutes`` from now on. UserError where they are no number above 0."""
        if self.minutes is None:
            return None
        if not (isinstance(self.minutes, Real) and 0 < self.minutes < math.inf):
            raise UserError(f"minutes={self.minutes!r}: give a number above 0, or None")
        return Budget(self.minutes, time.monotonic())

    def _start(self, settings: Settings, tokenizer: Tokenizer, folder: Path) -> tuple[dict[Direction, Path], Vocab | None]:
        """The folders of the language models to start from, one per direction or none at all; and the words of ``init``."""
        if self.init is None:
            auto = self.pretrained == "auto"
            start = shipped_for(self.preset, settings.text, _listed(self.options)) if auto else self.pretrained
            return _language_models(start), None
        bundle, here = Bundle.read(Path(self.init)), tokenizer.definition
        for name in ("lang", "rules", "rules_version"):
            if bundle.tokenizer[name] != here[name]:
                raise UserError(
                    f"init={str(self.init)!r}: its {name} is {bundle.tokenizer[name]!r}, here it is {here[name]!r}; use the same"
                )
        return language_models_of(Path(self.init), folder), bundle.vocab

    def predict(self, texts: Iterable[str]) -> NDArray[Any] | list[list[Any]]:
        """Predictions in the form of the labels given to ``fit``: the likeliest class of each text, [N]; a list of labels per text; or
        0 and 1, int64 [N, L]."""
        predictor = self._fitted()
        probabilities = predictor.probabilities(listed_texts(texts, "texts"))
        if self._kind == "class":
            return self.classes_[self._arranged(probabilities).argmax(1)]
        decided = self._arranged(decisions(probabilities, predictor.thresholds))
        return decided.astype(np.int64) if self._kind == "matrix" else [self.classes_[row].tolist() for row in decided]

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Probabilities float32 [N, L], columns in the order of ``classes_``; they add up to 1 unless texts have any number of labels."""
        return self._arranged(self._fitted().probabilities(listed_texts(texts, "texts")))

    def score(self, texts: Iterable[str], labels: Any, sample_weight: Any = None) -> float:
        """Share of the texts whose label, or all of whose labels, are predicted right; ``labels`` as in ``fit``."""
        self._fitted()
        if self._kind == "class":
            check_classes(listed_labels(labels))
        if self._kind != "sets":
            return super().score(texts, labels if self._kind == "matrix" else listed_labels(labels), sample_weight)
        return float(np.average(same_sets(self.predict(texts), labels), weights=sample_weight))

    def _arranged(self, table: NDArray[Any]) -> NDArray[Any]:
        """[N, L]: the columns of ``table`` [N, labels of the model] in the order of ``classes_``; 0 for a label no training text had."""
        places = {label: place for place, label in enumerate(self._fitted().labels)}
        columns = [places.get(str(name), -1) for name in self.classes_.tolist()]
        return np.pad(table, ((0, 0), (0, 1)))[:, columns]

    def save(self, path: str | Path) -> None:
        """Write the model's folder; a model that is there is replaced. UserError where ``path`` holds anything else."""
        predictor, target = self._fitted(), Path(path).absolute()
        _check_free(target)
        arguments = {name: _plain(value) for name, value in self.get_params().items()}
        note = {
            "arguments": arguments | {"options": list(self.options)},
            "classes": self.classes_.tolist(),
            "dtype": self.classes_.dtype.str,  # from a list alone numpy makes other numbers of large ones
            "kind": self._kind,
        }
        with output_folder(target) as folder:
            predictor.save(folder)
            write_bytes(folder / NOTE, json.dumps(note, indent=1, ensure_ascii=False).encode())
            if target.exists():
                shutil.rmtree(target)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """The classifier in the folder ``path``, written by ``save`` or by a training run.

        UserError where the folder holds none, naming what is missing. Classes of a training run's model are strings.
        """
        return cls._around(Predictor(path, resolve_device(device)), Path(path) / NOTE, device)

    @classmethod
    def from_registry(cls, uri: str, workspace: str | Path | None = None, device: str = "auto") -> Self:
        """The classifier behind ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` in the registry of ``workspace``, see README.

        UserError where there is none, and where the package is installed without the workflow.
        """
        try:  # by name, for ulmfit never imports tasks (the layers in pyproject.toml)
            registry, workspaces = import_module("tasks.registry"), import_module("tasks.workspace")
        except ModuleNotFoundError as error:
            raise UserError(
                f"{uri}: the registry needs the workflow (make install, in a checkout); give the model's folder to load"
            ) from error
        home = workspaces.Workspace.named(workspace)
        predictor = registry.load_version(home, registry.resolve(home, uri), resolve_device(device))
        return cls._around(predictor, None, device)

    @classmethod
    def _around(cls, predictor: Predictor, note: Path | None, device: str) -> Self:
        if note and note.exists():
            saved = json.loads(note.read_text(encoding="utf-8"))
            loaded = cls(**saved["arguments"] | {"device": device})
            loaded.classes_, loaded._kind = np.asarray(saved["classes"], saved["dtype"]), saved.get("kind", "class")
        else:
            loaded = cls(lang=predictor.bundle.tokenizer["lang"], rules=predictor.bundle.tokenizer["rules"], device=device)
            loaded.classes_, loaded._kind = np.asarray(predictor.labels), "class" if predictor.task == "multi-class" else "sets"
        loaded._predictor = predictor
        return loaded

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def _settings(self) -> Settings:
        """The preset with the constructor's arguments, then ``options``, which override both."""
        text = [f"text.{name}={json.dumps(_plain(getattr(self, name)))}" for name in ("lang", "rules")]
        seeds = [f"{stage}.seed={json.dumps(_plain(self.seed))}" for stage in ("corpus", "pretrain", "finetune", "labels", "classifier")]
        return override(preset(self.preset), [*text, *seeds, *_listed(self.options)])

    def _fitted(self) -> Predictor:
        if not hasattr(self, "_predictor"):
            raise NotFittedError("this TextClassifier is not fitted: call fit, or TextClassifier.load")
        return self._predictor


def _language_models(name: str | Path | None) -> dict[Direction, Path]:
    """The folder of a language model per direction, none without a ``name``; UserError where it does not hold both."""
    found = dict(pretrained(name).folders) if name is not None else {}
    if name is not None and len(found) < len(DIRECTIONS):
        raise UserError(f"pretrained={str(name)!r}: it needs {' and '.join(f'{direction}/' for direction in DIRECTIONS)}")
    return found


def _in_turn(callbacks: Sequence[Callback]) -> Callback | None:
    """All callbacks as one, which the threads of both directions call in turn."""
    if not callbacks:
        return None
    lock = threading.Lock()

    def tell(progress: FitProgress) -> None:
        with lock:
            for callback in callbacks:
                callback(progress)

    return tell


def _listed(options: Sequence[str]) -> Sequence[str]:
    return [options] if isinstance(options, str) else options


def _check_free(target: Path) -> None:
    """UserError unless ``target`` is absent, an empty folder, or a model and nothing besides."""
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"{target}: is a file; choose a new folder")
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
    strange = sorted(found - {*FILES, *WITH_WORDS, LINEAGE, ABSTENTION, FAMILIARITY, NOTE})
    if strange or (found and missing(target)):
        raise UserError(f"{target}: holds something that is not a model ({(strange or sorted(found))[0]}); choose a new folder")


def _plain(value: Any) -> Any:
    """An argument as JSON holds it: a path's name, a number of numpy as Python's."""
    return str(value) if isinstance(value, Path) else value.item() if isinstance(value, np.generic) else value
