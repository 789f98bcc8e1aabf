"""``TextClassifier``: the method as a scikit-learn estimator, on the same code as the DAG and without a server."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from ulmfit.config import Settings, override, preset
from ulmfit.errors import UserError
from ulmfit.inference import DIRECTIONS, Predictor, write_bundle
from ulmfit.shards import Documents
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training import stages


class TextClassifier(ClassifierMixin, BaseEstimator):
    """ULMFiT, forward and backward averaged.

    preset: "tiny", "small" or "base". options: settings to change, as ``("classifier.epochs=8", ...)``. pretrained: a
    folder with ``forward/`` and ``backward/`` language models; without one, the language model is trained on the texts
    given to ``fit``. device: "auto", "cpu" or "cuda".
    """

    def __init__(
        self,
        preset: str = "small",
        lang: str = "en",
        rules: str = "default",
        pretrained: str | Path | None = None,
        device: str = "auto",
        seed: int = 0,
        options: Sequence[str] = (),
    ):
        self.preset = preset
        self.lang = lang
        self.rules = rules
        self.pretrained = pretrained
        self.device = device
        self.seed = seed
        self.options = options

    def fit(self, texts: Sequence[str], labels: Sequence[Any], unlabelled: Sequence[str] | None = None) -> TextClassifier:
        """Fine-tune a language model on all texts, then train a classifier on the labelled ones; both directions.

        ``labels`` may be strings or numbers. Raises UserError (a ValueError) for input that cannot be learnt from.
        """
        texts, labels = _texts(texts, "texts"), list(labels)
        further = _texts(unlabelled, "unlabelled") if unlabelled is not None else []
        if len(texts) != len(labels):
            raise UserError(f"{len(texts)} texts and {len(labels)} labels: give a label for each text")
        self.classes_, codes = np.unique(np.asarray(labels), return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(f"all {len(labels)} labels are {labels[0]!r}: give at least two classes" if labels else "no texts are given to fit")
        self._remove_folder()
        self._folder = Path(tempfile.mkdtemp(prefix="ulmfit-classifier-"))
        settings = self._settings()
        with tempfile.TemporaryDirectory(prefix="ulmfit-fit-") as work:
            self._train(Path(work), settings, texts, codes, further)
        self._predictor = Predictor.load(self._folder, self._device())
        return self

    def _train(self, work: Path, settings: Settings, texts: list[str], codes: np.ndarray, further: list[str]) -> None:
        tokenizer = Tokenizer(settings.text.lang, settings.text.rules)
        tokens = tokenizer([*texts, *further])
        vocab = Vocab.from_counts(_count(tokens), settings.vocab.max_size, settings.vocab.min_count)
        ids = [vocab.encode(document).astype(vocab.dtype) for document in tokens]
        text = Documents.of(ids)
        train, valid = _hold_out(Documents.of(ids[: len(texts)], codes), settings.corpus.valid_share, self.seed)
        held_out = Documents.of([valid.doc(i) for i in range(len(valid))])
        names = [str(label) for label in self.classes_]
        for direction in DIRECTIONS:
            lm = work / f"lm-{direction}"
            lm.mkdir()
            if self.pretrained:
                source = Path(self.pretrained) / direction
                stages.finetune(source, text, held_out, vocab, settings.finetune, direction, lm, self._device())
            else:
                stages.pretrain(text, held_out, vocab, settings.model, settings.pretrain, direction, lm, self._device())
            folder = work / direction
            folder.mkdir()
            model = stages.model_config(lm)
            stages.train_classifier(lm, train, valid, vocab, names, model, settings.classifier, direction, folder, self._device())
        vocab.save(work / "vocab.json")
        write_bundle(self._folder, work / "forward", work / "backward", work / "vocab.json", tokenizer.definition, names)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The likeliest class of each text, [N], of the type of the labels given to ``fit`` (strings after ``load``)."""
        return self.classes_[self.predict_proba(texts).argmax(1)]

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, L], columns in the order of ``classes_``."""
        return self._fitted().probabilities(_texts(texts, "texts"))

    def save(self, path: str | Path) -> None:
        """Write the model's folder. UserError where ``path`` holds something that is not a model."""
        self._fitted()
        target = Path(path)
        if target.exists() and not (target.is_dir() and ((target / "labels.json").exists() or not any(target.iterdir()))):
            raise UserError(f"{target}: holds something that is not a model; choose a new folder")
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=_made(target.absolute().parent)))
        shutil.copytree(self._folder, beside, dirs_exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        beside.rename(target)
        target.chmod(0o755)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> TextClassifier:
        """The classifier in the folder ``path``. UserError where it holds none, naming what is missing."""
        loaded = cls(device=device)
        loaded._predictor = Predictor.load(path, loaded._device())
        loaded._folder = Path(path)
        loaded._kept = True
        definition = loaded._predictor.tokenizer.definition
        loaded.lang, loaded.rules = definition["lang"], definition["rules"]
        loaded.classes_ = np.asarray(loaded._predictor.labels)
        return loaded

    def _settings(self) -> Settings:
        seeds = [f"{stage}.seed={self.seed}" for stage in ("corpus", "pretrain", "finetune", "classifier")]
        text = [f"text.lang={self.lang}", f"text.rules={self.rules}"]
        return override(preset(self.preset), [*seeds, *text, *self.options])

    def _device(self) -> str:
        import torch

        return ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device

    def _fitted(self) -> Predictor:
        if not hasattr(self, "_predictor"):
            raise NotFittedError("this TextClassifier is not fitted: call fit, or TextClassifier.load")
        return self._predictor

    def _remove_folder(self) -> None:
        if hasattr(self, "_folder") and not hasattr(self, "_kept"):
            shutil.rmtree(self._folder, ignore_errors=True)
        self.__dict__.pop("_kept", None)

    def __del__(self) -> None:
        self._remove_folder()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _texts(given: Sequence[str], name: str) -> list[str]:
    if isinstance(given, str):
        raise UserError(f"{name} is one string; give a list of strings")
    texts = list(given)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"{name}[{index}] is {type(text).__name__}, not a string; convert or drop it")
    return texts


def _count(documents: list[list[str]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(document)
    return counts


def _hold_out(documents: Documents, share: float, seed: int) -> tuple[Documents, Documents]:
    """A seeded, stratified share of the documents for validation; a class with one document keeps it for training."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(documents), dtype=bool)
    for code in np.unique(documents.labels):
        rows = rng.permutation(np.flatnonzero(documents.labels == code))
        held[rows[: min(round(len(rows) * share), len(rows) - 1)]] = True
    return documents.take(np.flatnonzero(~held)), documents.take(np.flatnonzero(held))
