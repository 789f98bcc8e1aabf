"""``TextClassifier``: the method as a scikit-learn estimator, on the same code as the DAG and without a server."""

import json
import logging
import math
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import chain
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags

from ulmfit.compute.cores import cores, side_by_side
from ulmfit.compute.devices import resolve_device
from ulmfit.config import Settings
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.evaluation.abstention import FILE as ABSTENTION
from ulmfit.evaluation.metrics import decisions
from ulmfit.labels.drawing import draw
from ulmfit.labels.estimator_labels import GivenLabels, Kind, check_classes, listed_labels, same_sets
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.saving import read_saved_model
from ulmfit.prediction.bundle import FILES, LINEAGE, WITH_WORDS, WORDS, Bundle, missing, write_bundle
from ulmfit.prediction.familiar import FILE as FAMILIARITY
from ulmfit.prediction.familiar import Familiar
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.strangeness import figures_of
from ulmfit.prediction.weighing import add_words
from ulmfit.presets import override, preset
from ulmfit.pretrained.catalog import shipped_for
from ulmfit.pretrained.from_classifier import language_models_of
from ulmfit.pretrained.transport import pretrained
from ulmfit.shards.documents import Documents
from ulmfit.store.filesystem import output_folder, write_bytes
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training import method
from ulmfit.training.amounts import Choice, PassOver, usual_settings, with_amounts
from ulmfit.training.epochs import LEAST_TOKENS, fitting_streams
from ulmfit.training.placement import Placement
from ulmfit.training.rehearsal import classifier_task, costs_of, lm_task, speed_of, usual_amounts
from ulmfit.training.specs import TrainingText
from ulmfit.training.words import train_words

log = logging.getLogger(__name__)

NOTE = "estimator.json"  # beside a saved bundle: the constructor's arguments, and the classes in their own type


@dataclass(frozen=True)
class FitProgress:
    """What a callback of ``TextClassifier.fit`` is told, every few steps and after each validation.

    ``stage``: "pretrain", "finetune" or "classify"; ``step`` of ``steps`` steps of this stage, in this ``direction``. ``values``: what was
    measured: ``train_loss`` (smoothed, nats), ``lr``, or ``valid_loss`` and the like.
    """

    stage: Literal["pretrain", "finetune", "classify"]
    direction: Direction
    step: int
    steps: int
    values: Mapping[str, float]


Callback = Callable[[FitProgress], object]


class TextClassifier(ClassifierMixin, BaseEstimator):
    """ULMFiT, forward and backward averaged.

    preset: "tiny", "small" or "base". lang, rules: the tokenizer. pretrained: the language models to start from: "auto" (the
    one that comes with the project, where it fits the preset, the language, the rules and the options), a known name, or a folder with
    ``forward/`` and ``backward/``; With None, or where "auto" fits none, they are trained on the texts given to ``fit``. device:
    "auto", "cpu" or "cuda". seed: of every random choice. options: settings to change, as ``("classifier.epochs=8", ...)``.
    minutes: ``fit`` trains so much less than usual that it ends within so many minutes here; None: as much as usual.
    init: the folder of a trained classifier whose encoders and words ``fit`` goes on from, in place of ``pretrained``; its labels may be others.

    ``classes_`` [L], sorted, exists once the estimator is fitted or loaded; ``choice_`` once it is fitted within ``minutes``: the amounts.
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
        begun = time.monotonic()
        if self.minutes is not None and not (isinstance(self.minutes, Real) and 0 < self.minutes < math.inf):
            raise UserError(f"minutes={self.minutes!r}: give a number above 0, or None")
        labelled = _texts(texts, "texts")
        further = [] if unlabelled is None else _texts(unlabelled, "unlabelled")
        settings = self._settings()
        read = lambda given, number: GivenLabels.of(
            given, number, settings.classifier.label_separator, settings.classifier.task == "multi-label"
        )
        labels = labels if len(getattr(labels, "shape", ())) == 2 else listed_labels(labels)
        given = read(labels, len(labelled))
        held = given.held_out(settings.corpus.valid_share, settings.corpus.seed)
        if eval_set is not None:
            judged, given = _with_judged(labels, given, eval_set, read)
            held = np.arange(len(labelled), len(labelled) + len(judged))
            labelled += judged
        if not any(text.strip() for text in labelled):
            raise UserError(f"all {len(labelled)} texts are empty: there is nothing to learn from")
        if given.kind != "class":
            settings = settings.model_copy(update={"classifier": settings.classifier.model_copy(update={"task": "multi-label"})})
        device = resolve_device(self.device)
        tokenizer = Tokenizer(settings.text.lang, settings.text.rules)
        with tempfile.TemporaryDirectory(prefix="ulmfit-fit-") as work:
            parts, known = self._start(settings, tokenizer, Path(work) / "init")
            training = _Training(Path(work), settings, parts, device, known, _told(callbacks))
            budget = (self.minutes, begun) if self.minutes is not None else None
            self._predictor, choice = training.run(tokenizer, [*labelled, *further], Labelled(given, held), budget)
        if choice:
            self.choice_ = choice
        self.classes_, self._kind = given.classes, given.kind
        return self

    def _start(self, settings: Settings, tokenizer: Tokenizer, folder: Path) -> tuple[dict[Direction, Path], Vocab | None]:
        """The folder of a language model per direction to start from, none to start from nothing; and the words of ``init``."""
        if self.init is None:
            auto = self.pretrained == "auto"
            return _language_models(shipped_for(self.preset, settings.text, _listed(self.options)) if auto else self.pretrained), None
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
        probabilities = predictor.probabilities(_texts(texts, "texts"))
        if self._kind == "class":
            return self.classes_[self._arranged(probabilities).argmax(1)]
        decided = self._arranged(decisions(probabilities, predictor.thresholds))
        return decided.astype(np.int64) if self._kind == "matrix" else [self.classes_[row].tolist() for row in decided]

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Probabilities float32 [N, L], columns in the order of ``classes_``; they add up to 1 unless texts have any number of labels."""
        return self._arranged(self._fitted().probabilities(_texts(texts, "texts")))

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
        classes = {
            "classes": self.classes_.tolist(),
            "dtype": self.classes_.dtype.str,
        }  # from a list numpy makes other numbers of large ones
        note = {"arguments": arguments | {"options": list(self.options)}, **classes, "kind": self._kind}
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
        seeds = [f"{stage}.seed={json.dumps(_plain(self.seed))}" for stage in ("corpus", "pretrain", "finetune", "classifier")]
        return override(preset(self.preset), [*text, *seeds, *_listed(self.options)])

    def _fitted(self) -> Predictor:
        if not hasattr(self, "_predictor"):
            raise NotFittedError("this TextClassifier is not fitted: call fit, or TextClassifier.load")
        return self._predictor


@dataclass(frozen=True)
class Labelled:
    """Labels of the first texts, and which of them are ``held`` for validation."""

    given: GivenLabels
    held: NDArray[np.int64]


@dataclass(frozen=True)
class _Training:
    """One fit: the stages of the DAG in one folder, ``pretrained`` being the language models to start from, ``known`` words to keep.

    ``told``: hears how it goes on, if anybody does."""

    work: Path
    settings: Settings
    pretrained: dict[Direction, Path]
    device: str
    known: Vocab | None = None
    told: Callback | None = None

    def run(
        self, tokenizer: Tokenizer, texts: list[str], labelled_texts: "Labelled", budget: tuple[float, float] | None = None
    ) -> tuple[Predictor, Choice | None]:
        """Train both classifiers and load them. The first of ``texts`` are the labelled ones.

        ``budget``: minutes, and the reading of the monotonic clock when they began; then the choice of amounts is returned too.
        """
        tokens = tokenizer(texts)
        vocab = Vocab.from_counts(Counter(chain.from_iterable(tokens)), self.settings.vocab.max_size, self.settings.vocab.min_count)
        if self.known:
            vocab = self.known.with_added(vocab.tokens)
        vocab.save(self.work / "vocab.json")
        given, held = labelled_texts.given, labelled_texts.held
        codes, names = given.codes, LabelSet.of(given.strings, self.settings.classifier)
        rows = np.setdiff1d(np.arange(len(codes)), held)
        if self.settings.labels.number:
            rows = rows[draw(names.strata_of(codes[rows]), self.settings.labels)]
        labels = np.concatenate([codes, np.full(len(tokens) - len(codes), -1)])
        documents = Documents.of([vocab.encode(document).astype(vocab.dtype) for document in tokens], labels)
        train, valid = documents.take(rows), documents.take(held)
        text = TrainingText(documents.take(np.setdiff1d(np.arange(len(documents)), held)), valid, vocab, "forward")
        labelled = TrainingText(train, valid, vocab, "forward", tuple(given.strings))
        if budget is None:
            self._train(text, labelled)
            choice = None
        else:
            chosen, choice = self._within(text, labelled, *budget)
            chosen._train(text, labelled)
        bundle = self.work / "bundle"
        write_bundle(bundle, self.work / "forward", self.work / "backward", self.work / "vocab.json", tokenizer.definition)
        if self.settings.words:
            listed = lambda rows: [texts[row] for row in rows]
            seed, truth, more = self.settings.labels.seed, names.truth_of(codes[rows]), np.setdiff1d(np.arange(len(texts)), held)
            train_words(listed(rows), truth, len(names), seed, listed(more)).save(self.work / WORDS)
            add_words(bundle, self.work / WORDS, listed(held), names.truth_of(codes[held]), self.device)
        predictor = Predictor(bundle, self.device)
        predictor.bundle = replace(predictor.bundle, familiar=Familiar.of(*figures_of(predictor, valid)))
        return predictor, choice

    def _train(self, text: TrainingText, labelled: TrainingText) -> None:
        """A classifier of the ``labelled`` documents per direction, on a language model of ``text``."""
        config, place = self.settings.classifier, Placement(self.device)

        def learn(direction: Direction) -> None:
            lm = self._language_model(replace(text, direction=direction), place) if config.init == "finetuned" else None
            model = read_saved_model(lm).model if lm else self.settings.model
            here = self._followed(place, "classify", direction)
            method.train_classifier(replace(labelled, direction=direction), lm, model, config, self.work / direction, here)

        side_by_side(learn, DIRECTIONS, self.device)

    def _within(self, text: TrainingText, labelled: TrainingText, minutes: float, begun: float) -> tuple["_Training", Choice]:
        """The same training with amounts that fit into ``minutes``, and these amounts."""
        settings, place = usual_settings(self.settings), Placement(self.device)
        together = len(DIRECTIONS) if self.device == "cpu" and cores() >= len(DIRECTIONS) else 1  # as side_by_side does it
        threads, turns = max(1, cores() // together), len(DIRECTIONS) // together
        stage: Literal["finetune", "pretrain"] = "finetune" if self.pretrained else "pretrain"
        config = fitting_streams(settings.finetune if self.pretrained else settings.pretrain, text.train.tokens)
        model = read_saved_model(self.pretrained["forward"]).model if self.pretrained else settings.model
        lms = [lm_task(text, model, config, place) for _ in range(together)]
        classifiers = [classifier_task(labelled, model, settings.classifier, place) for _ in range(together)]
        lm, classifier = lms[0], classifiers[0]
        speeds = speed_of(lms, threads) if lm.steps else 1.0, speed_of(classifiers, threads)
        costs, usual = costs_of(lm, classifier, speeds, None, turns), usual_amounts(lm, classifier, None)
        choice = Choice.of(minutes, time.monotonic() - begun, usual, costs)
        for line in choice.told():
            log.info("%s", line)
        budgeted = with_amounts(settings, choice.chosen, usual, PassOver(stage, text.train.tokens, lm.config.batch_size, LEAST_TOKENS))
        return replace(self, settings=budgeted), choice

    def _language_model(self, text: TrainingText, place: Placement) -> Path:
        """The folder of a language model of the domain."""
        folder, tokens = self.work / f"lm-{text.direction}", text.train.tokens
        if self.pretrained:
            here = self._followed(place, "finetune", text.direction)
            method.finetune(text, self.pretrained[text.direction], fitting_streams(self.settings.finetune, tokens), folder, here)
        else:
            here = self._followed(place, "pretrain", text.direction)
            method.pretrain(text, self.settings.model, fitting_streams(self.settings.pretrain, tokens), folder, here)
        return folder

    def _followed(self, place: Placement, stage: Literal["pretrain", "finetune", "classify"], direction: Direction) -> Placement:
        """``place``, and what is measured there is told."""
        told = self.told
        if told is None:
            return place
        return replace(place, follow=lambda step, steps, values: told(FitProgress(stage, direction, step, steps, values)))


def _language_models(name: str | Path | None) -> dict[Direction, Path]:
    """The folder of a language model per direction, none without a ``name``; UserError where it does not hold both."""
    found = dict(pretrained(name).folders) if name is not None else {}
    if name is not None and len(found) < len(DIRECTIONS):
        raise UserError(f"pretrained={str(name)!r}: it needs {' and '.join(f'{direction}/' for direction in DIRECTIONS)}")
    return found


def _with_judged(
    labels: Any, given: GivenLabels, eval_set: tuple[Iterable[str], Any], read: Callable[[Any, int], GivenLabels]
) -> tuple[list[str], GivenLabels]:
    """The texts of ``eval_set``, and its labels behind the ``given`` ones. UserError where they are of another kind, or new."""
    if not isinstance(eval_set, tuple | list) or len(eval_set) != 2:
        raise UserError("eval_set is no pair: give (texts, labels)")
    judged = _texts(eval_set[0], "eval_set's texts")
    if given.kind == "matrix":
        raise UserError("eval_set: it takes no tables of labels; give lists of labels for each text, here and in fit")
    own = listed_labels(eval_set[1])
    if len(own) != len(judged) or not own:
        raise UserError(f"eval_set has {len(judged)} texts and {len(own)} labels: give one label for each text, and one text or more")
    both = read([*listed_labels(labels), *own], len(given.codes) + len(own))
    new = sorted(set(both.classes.tolist()) - set(given.classes.tolist()))
    if new:
        raise UserError(f"eval_set has the label {new[0]!r}, which no text to learn from has; drop such texts")
    return judged, both


def _told(callbacks: Sequence[Callback]) -> Callback | None:
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


def _texts(given: Iterable[str], name: str) -> list[str]:
    if isinstance(given, str):
        raise UserError(f"{name} is one string; give a list of strings")
    if hasattr(given, "columns") or isinstance(given, dict) or len(getattr(given, "shape", ())) > 1:
        raise UserError(f"{name} is a table; give the column that holds the text")
    if not isinstance(given, Iterable) or isinstance(given, bytes | set | frozenset) or getattr(given, "shape", None) == ():
        raise UserError(f"{name} is of type {type(given).__name__}; give a list of strings")
    texts = given.to_pylist() if hasattr(given, "to_pylist") else list(given)  # Arrow's elements are no strings
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"{name}[{index}] is {type(text).__name__}, not a string; convert or drop it")
    return texts
