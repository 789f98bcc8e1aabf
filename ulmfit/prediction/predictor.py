"""A trained model at work: texts in, probabilities and labels out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ulmfit.compute.cores import side_by_side
from ulmfit.compute.pages import keep_pages
from ulmfit.compute.precision import inference_products
from ulmfit.directions import DIRECTIONS, Direction, Member
from ulmfit.errors import UserError
from ulmfit.evaluation.metrics import decisions
from ulmfit.labels.label_set import THRESHOLD, Task, probabilities
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import load_classifier, save_model
from ulmfit.models.words import WordModel
from ulmfit.prediction.bundle import WORDS, Bundle
from ulmfit.prediction.logits import FoldedClassifier, hidden_states, predict_logits
from ulmfit.progress import progress
from ulmfit.shards.documents import Documents
from ulmfit.text.tokenizer import Tokenizer

Probabilities = NDArray[np.float32]

TEXTS = 1_000  # texts whose tokens are held as strings at a time
LONG = 500  # documents from which on progress is shown


class Predictor:
    """A loaded bundle. ``labels`` are the classes in the order of the probabilities' columns.

    ``task``: "multi-class", or "multi-label" with the ``separator`` of its label strings.
    """

    def __init__(self, folder: str | Path, device: str = "cpu", precision: str = "auto"):
        """Load the model in ``folder``; UserError where it holds none, is not whole or its parts do not belong together.

        ``precision``: of the matrix products: "fp32", "bf16", or "auto" (see ``compute/precision.py``).
        """
        self.bundle = Bundle.read(Path(folder))
        keep_pages()
        calibration = self.bundle.calibration(DIRECTIONS[0])
        self.task: Task = calibration.task
        self.separator: str = calibration.label_separator
        self.labels: list[str] = self.bundle.labels
        self.tokenizer = _tokenizer(json.dumps(self.bundle.tokenizer, sort_keys=True))
        self.vocab = self.bundle.vocab
        self._device = device
        self._models = {direction: load_classifier(Path(folder, direction)).to(device) for direction in DIRECTIONS}
        products = lambda model: inference_products(precision, device, model.encoder.config.hidden)
        self._folded = {direction: FoldedClassifier(model, products(model)) for direction, model in self._models.items()}
        self.mixture = self.bundle.mixture
        self.words = WordModel.load(Path(folder, WORDS), len(self.labels)) if "words" in self.mixture.weights else None

    @property
    def device(self) -> str:
        """Where it predicts."""
        return self._device

    @cached_property
    def language_model(self) -> LanguageModel:
        """The forward classifier's encoder with its embedding as decoder, which has no bias."""
        encoder = self._models[DIRECTIONS[0]].encoder
        model = LanguageModel(len(self.vocab), encoder.config, encoder.dropouts)
        model.encoder = encoder
        return model

    @property
    def precision(self) -> str:
        """Of the matrix products: "fp32" or "bf16"."""
        return "bf16" if self._folded[DIRECTIONS[0]].embedding.dtype == torch.bfloat16 else "fp32"

    def save(self, folder: Path) -> None:
        """Write the bundle into ``folder``, which is made if need be."""
        for direction, model in self._models.items():
            (folder / direction).mkdir(parents=True, exist_ok=True)
            save_model(folder / direction, model, self.bundle.parts[direction])
        if self.words:
            self.words.save(folder / WORDS)
        self.bundle.save(folder)

    def probabilities(self, texts: Sequence[str], shown: bool = True) -> Probabilities:
        """float32 [N, L]: what the members say together, in the order of ``texts``; ``shown``: with a bar for many."""
        return self.join(self.members(texts, shown))

    def members(self, texts: Sequence[str], shown: bool = True) -> dict[Member, Probabilities]:
        """float32 [N, L] by each member of the ensemble: both directions, and the words where they are one."""
        return self.with_words(self.read(self.logits_of(self.encode(texts), shown)), texts)

    def with_words(self, directions: Mapping[Direction, Probabilities], texts: Sequence[str]) -> dict[Member, Probabilities]:
        """What both ``directions`` say of ``texts``, and what the words say, where they are a member."""
        said: dict[Member, Probabilities] = {direction: directions[direction] for direction in DIRECTIONS}
        return said | ({"words": self.words.probabilities(texts, self.task)} if self.words else {})

    def join(self, members: Mapping[Member, Probabilities], calibrated: bool = True) -> Probabilities:
        """float32 [N, L]: the ensemble's probabilities by those of its ``members``; ``calibrated``: through its temperature."""
        return self.mixture.join(members, self.task, calibrated)

    def logits_of(self, documents: Documents, shown: bool = True) -> dict[Direction, Tensor]:
        """Logits float32 [N, L] per direction, of documents that are encoded through this model's vocabulary."""

        def read(direction: Direction) -> Tensor:
            with (
                progress(f"predict {direction}", len(documents), "documents") if shown and len(documents) >= LONG else nullcontext() as bar
            ):
                return predict_logits(self._folded[direction], documents, direction, self.bundle.parts[direction].max_tokens, bar)

        return dict(zip(DIRECTIONS, side_by_side(read, DIRECTIONS, self._device), strict=True))

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the classifier knows of each text, float32 [N, F]: the hidden layers of both directions' heads, side by side."""
        documents = self.encode(texts)

        def read(direction: Direction) -> Tensor:
            return hidden_states(self._folded[direction], documents, direction, self.bundle.parts[direction].max_tokens)

        return np.hstack([states.numpy() for states in side_by_side(read, DIRECTIONS, self._device)])

    def read(self, logits: Mapping[Direction, Tensor], calibrated: bool = True) -> dict[Direction, Probabilities]:
        """Probabilities of ``logits_of`` documents; each direction has its own temperature, 1 where not ``calibrated``."""
        temperature = lambda direction: self.bundle.calibration(direction).temperature if calibrated else 1.0
        return {direction: probabilities(logits[direction], self.task, temperature(direction)).numpy() for direction in DIRECTIONS}

    @property
    def thresholds(self) -> NDArray[np.float64] | None:
        """Those of the ensemble: its own where it has some, else the mean of both directions'."""
        if self.mixture.thresholds:
            return np.asarray(self.mixture.thresholds, dtype=np.float64)
        return self.thresholds_of_directions

    @property
    def thresholds_of_directions(self) -> NDArray[np.float64] | None:
        """float64 [L]: the mean of both directions' thresholds; None for classes."""
        each = [limits for direction in DIRECTIONS if (limits := self.thresholds_of(direction)) is not None]
        return np.mean(each, axis=0) if each else None

    def thresholds_of(self, direction: Direction) -> NDArray[np.float64] | None:
        """float64 [L]: the probability from which one direction predicts each label; None for classes."""
        if self.task == "multi-class":
            return None
        return np.asarray(self.bundle.calibration(direction).thresholds or [THRESHOLD] * len(self.labels), dtype=np.float64)

    def decide(self, probabilities: Probabilities) -> list[list[str]]:
        """The labels of each document by its ``probabilities`` [N, L]: the likeliest class, or those that reach their thresholds."""
        if self.task == "multi-class":
            return [[self.labels[code]] for code in probabilities.argmax(1)]
        return [[self.labels[code] for code in np.flatnonzero(row)] for row in decisions(probabilities, self.thresholds)]

    @cached_property
    def digest(self) -> str:
        """Names all that decides about a prediction and its warnings: weights, words, labels, how they are read, and the type of the products."""
        facts = [self.bundle.labels, self.bundle.tokenizer, self.vocab.tokens, self._device]
        named = hashlib.sha256(json.dumps(facts).encode())
        named.update(self.mixture.model_dump_json().encode() + (self.words.digest if self.words else b""))
        if self.bundle.familiar:
            named.update(self.bundle.familiar.model_dump_json().encode())
        for direction, model in self._models.items():
            named.update(f"{self.bundle.parts[direction].model_dump_json()} {self._folded[direction].embedding.dtype}".encode())
            for tensor in model.state_dict().values():
                named.update(tensor.cpu().contiguous().view(-1).numpy().tobytes())
        return named.hexdigest()

    def sure_from(self, share: float) -> float:
        """The probability from which ``share`` of the predicted classes is right, by held-out rows. UserError where none promises that."""
        if self.task == "multi-label":
            raise UserError("the model gives a text any number of labels: there is no single answer to abstain from")
        if self.bundle.abstention is None:
            raise UserError("the model has no held-out rows with it: name a version that was registered with them (models:/NAME@ALIAS)")
        found = self.bundle.abstention.threshold(share)
        if found is None:
            raise UserError(
                f"no probability promises that {share:.1%} of the answers are right, by the {len(self.bundle.abstention.right):,} held-out "
                "rows of this model; ask for less, or train with more test rows"
            )
        return found

    def encode(self, texts: Sequence[str]) -> Documents:
        """Texts as the classifiers read them; every document has at least its first token, ``xxbos``."""
        ids: list[np.ndarray] = []
        for start in range(0, len(texts), TEXTS):
            ids += [self.vocab.encode(tokens).astype(self.vocab.dtype) for tokens in self.tokenizer(texts[start : start + TEXTS])]
        return Documents.of(ids)


@lru_cache(maxsize=4)
def _tokenizer(definition: str) -> Tokenizer:
    """One tokenizer for all models of a process that define it alike: it remembers the words that it has split."""
    return Tokenizer.from_definition(json.loads(definition))
