"""A whole training from texts in memory: language models, classifiers and words, as the DAG trains them, in one folder."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ulmfit.compute.cores import cores, side_by_side
from ulmfit.config import Settings
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.labels.drawing import rows_to_learn
from ulmfit.labels.label_set import LabelSet
from ulmfit.labels.labelled_texts import LabelledTexts
from ulmfit.models.saving import read_saved_model
from ulmfit.prediction.bundle import WORDS, write_bundle
from ulmfit.prediction.familiar import Familiar
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.strangeness import figures_of
from ulmfit.prediction.weighing import add_words
from ulmfit.shards.documents import Documents
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training import method
from ulmfit.training.amounts import Choice, PassOver, usual_settings, with_amounts
from ulmfit.training.epochs import LEAST_TOKENS, fitting_streams
from ulmfit.training.out_of_fold import read_left_out, witnesses
from ulmfit.training.placement import Placement
from ulmfit.training.rehearsal import classifier_task, costs_of, lm_task, speed_of, usual_amounts
from ulmfit.training.specs import TrainingText
from ulmfit.training.words import train_words

log = logging.getLogger(__name__)

TrainingStage = Literal["pretrain", "finetune", "classify"]


@dataclass(frozen=True)
class FitProgress:
    """What a callback of ``TextClassifier.fit`` gets, every few steps and after each validation.

    It describes ``step`` of ``steps`` steps of this ``stage``, in this ``direction``. ``values``: what was measured: ``train_loss`` (smoothed,
    nats), ``lr``, or ``valid_loss`` and the like.
    """

    stage: TrainingStage
    direction: Direction
    step: int
    steps: int
    values: Mapping[str, float]


Callback = Callable[[FitProgress], object]


@dataclass(frozen=True)
class Budget:
    """A training that began when the monotonic clock showed ``begun`` (seconds) is to end within ``minutes``."""

    minutes: float
    begun: float


@dataclass(frozen=True, eq=False)
class _Material:
    """What a training reads. ``documents``: all texts. ``text``: all but those that validate; ``labelled``: those that classifiers learn from.

    ``rows`` int64: the numbers of the latter. ``names``: of the label codes.
    """

    documents: Documents
    text: TrainingText
    labelled: TrainingText
    rows: NDArray[np.int64]
    names: LabelSet


@dataclass(frozen=True)
class TextsTraining:
    """One training in the folder ``work``.

    ``pretrained``: the language models to start from; where there are none, they start from random weights. ``known``: words to keep.
    ``callback``: what hears of the progress.
    """

    work: Path
    settings: Settings
    pretrained: Mapping[Direction, Path]
    device: str
    known: Vocab | None = None
    callback: Callback | None = None

    def run(
        self, tokenizer: Tokenizer, labelled: LabelledTexts, unlabelled: list[str], budget: Budget | None = None
    ) -> tuple[Predictor, Choice | None]:
        """Train both classifiers and load them. With a ``budget`` the choice of amounts is returned too."""
        texts = [*labelled.texts, *unlabelled]
        material = self._material(tokenizer(texts), labelled)
        training, choice = self._within(material, budget) if budget else (self, None)
        if choice and choice.chosen.labelled < choice.usual.labelled:
            material = training._draw(material, labelled)
        training._train(material)
        bundle = self.work / "bundle"
        write_bundle(bundle, self.work / "forward", self.work / "backward", self.work / "vocab.json", tokenizer.definition)
        if self.settings.words:
            self._add_words(bundle, texts, labelled, material)
        predictor = Predictor(bundle, self.device)
        familiar = Familiar.of(*figures_of(predictor, material.labelled.valid))
        predictor.bundle = replace(predictor.bundle, familiar=familiar)
        return predictor, choice

    def _material(self, tokens: list[list[str]], labelled: LabelledTexts) -> _Material:
        """The texts, encoded; the labelled ones come first. Their vocabulary is written."""
        vocab = self._vocabulary(tokens)
        vocab.save(self.work / "vocab.json")
        codes, strings = labelled.labels.codes, labelled.labels.strings
        names = LabelSet.of(strings, self.settings.classifier)
        rows = self._rows(labelled, names)
        with_unlabelled = np.concatenate([codes, np.full(len(tokens) - len(codes), -1)])
        documents = Documents.of([vocab.encode(document).astype(vocab.dtype) for document in tokens], with_unlabelled)
        valid, readable = documents.take(labelled.valid), np.setdiff1d(np.arange(len(documents)), labelled.valid)
        return _Material(
            documents=documents,
            text=TrainingText(documents.take(readable), valid, vocab, "forward"),
            labelled=TrainingText(documents.take(rows), valid, vocab, "forward", tuple(strings)),
            rows=rows,
            names=names,
        )

    def _draw(self, material: _Material, labelled: LabelledTexts) -> _Material:
        """The same, but the classifiers learn from the texts that the settings draw."""
        rows = self._rows(labelled, material.names)
        return replace(material, rows=rows, labelled=replace(material.labelled, train=material.documents.take(rows)))

    def _rows(self, labelled: LabelledTexts, names: LabelSet) -> NDArray[np.int64]:
        """The texts that the classifiers learn from, by their numbers."""
        codes = labelled.labels.codes
        rows = np.setdiff1d(np.arange(len(codes)), labelled.valid)
        return rows[rows_to_learn(names.strata_of(codes[rows]), self.settings.labels)]

    def _vocabulary(self, tokens: list[list[str]]) -> Vocab:
        config = self.settings.vocab
        vocab = Vocab.from_counts(Counter(chain.from_iterable(tokens)), config.max_size, config.min_count)
        if self.settings.general_words and self.pretrained:
            vocab = vocab.filled(Vocab.load(self.pretrained["forward"] / "vocab.json").tokens, config.max_size)
        return self.known.with_added(vocab.tokens) if self.known else vocab

    def _add_words(self, bundle: Path, texts: list[str], labelled: LabelledTexts, material: _Material) -> None:
        """Train the model of words, and make it a member of the ensemble in ``bundle``."""
        codes, valid, names = labelled.labels.codes, labelled.valid, material.names
        learnt = [texts[row] for row in material.rows]
        readable = [texts[row] for row in np.setdiff1d(np.arange(len(texts)), valid)]
        words = train_words(learnt, names.truth_of(codes[material.rows]), len(names), self.settings.labels.seed, readable)
        words.save(self.work / WORDS)
        both = read_left_out({direction: self.work / direction for direction in DIRECTIONS})
        by_id = {str(row): texts[row] for row in material.rows.tolist()}
        folds = witnesses(both, words, by_id, self.settings.labels.seed) if both else None
        add_words(bundle, self.work / WORDS, [texts[row] for row in valid], names.truth_of(codes[valid]), self.device, folds)

    def _within(self, material: _Material, budget: Budget) -> tuple["TextsTraining", Choice]:
        """The same training with amounts that fit into the ``budget``, and these amounts."""
        settings, place = usual_settings(self.settings), Placement(self.device)
        text, labelled = material.text, material.labelled
        stage: Literal["finetune", "pretrain"] = "finetune" if self.pretrained else "pretrain"
        config = fitting_streams(settings.finetune if self.pretrained else settings.pretrain, text.train.tokens)
        model = read_saved_model(self.pretrained["forward"]).model if self.pretrained else settings.model
        together = len(DIRECTIONS) if self.device == "cpu" and cores() >= len(DIRECTIONS) else 1  # as side_by_side does it
        threads, turns = max(1, cores() // together), len(DIRECTIONS) // together
        lms = [lm_task(text, model, config, place) for _ in range(together)]
        classifiers = [classifier_task(labelled, model, settings.classifier, place) for _ in range(together)]
        lm, classifier = lms[0], classifiers[0]
        speeds = speed_of(lms, threads) if lm.steps else 1.0, speed_of(classifiers, threads)
        costs, usual = costs_of(lm, classifier, speeds, None, turns), usual_amounts(lm, classifier, None)
        choice = Choice.of(budget.minutes, time.monotonic() - budget.begun, usual, costs)
        for line in choice.lines():
            log.info("%s", line)
        once = PassOver(stage, text.train.tokens, lm.config.batch_size, LEAST_TOKENS)
        return replace(self, settings=with_amounts(settings, choice.chosen, usual, once)), choice

    def _train(self, material: _Material) -> None:
        """A language model and a classifier per direction."""
        side_by_side(lambda direction: self._train_direction(material, direction), DIRECTIONS, self.device)

    def _train_direction(self, material: _Material, direction: Direction) -> None:
        config, place = self.settings.classifier, self._placement("classify", direction)
        lm = self._language_model(replace(material.text, direction=direction)) if config.init == "finetuned" else None
        model = read_saved_model(lm).model if lm else self.settings.model
        method.train_classifier(replace(material.labelled, direction=direction), lm, model, config, self.work / direction, place)

    def _language_model(self, text: TrainingText) -> Path:
        """The folder of a language model of the texts."""
        folder, direction, tokens = self.work / f"lm-{text.direction}", text.direction, text.train.tokens
        if self.pretrained:
            config, place = fitting_streams(self.settings.finetune, tokens), self._placement("finetune", direction)
            method.finetune(text, self.pretrained[direction], config, folder, place)
        else:
            config, place = fitting_streams(self.settings.pretrain, tokens), self._placement("pretrain", direction)
            method.pretrain(text, self.settings.model, config, folder, place)
        return folder

    def _placement(self, stage: TrainingStage, direction: Direction) -> Placement:
        """Where a training happens; the callback hears of it."""
        callback = self.callback
        if callback is None:
            return Placement(self.device)
        return Placement(self.device, follow=lambda step, steps, values: callback(FitProgress(stage, direction, step, steps, values)))
