"""The trainings of ``gpu_imdb.py``: language models and classifiers of IMDB by the project's own functions, on the GPU where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from gpu_imdb_ids import Reviews
from numpy.typing import NDArray
from torch import Tensor

from ulmfit.config import ClassifierConfig, LabelsConfig, LMConfig, Settings
from ulmfit.directions import Direction
from ulmfit.evaluation.calibration import fit_temperature
from ulmfit.labels.drawing import draw
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.saving import load_language_model, read_saved_model
from ulmfit.models.transfer import take_encoder
from ulmfit.prediction.logits import predict_logits
from ulmfit.shards.documents import Documents
from ulmfit.training import method
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves
from ulmfit.training.epochs import lm_amount
from ulmfit.training.loop import fit
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingText

SHIPPED = Path(__file__).parent.parent / "pretrained" / "small"
NAMES = ("neg", "pos")
MANY, STREAMS, PASSES = (
    70_000,
    384,
    6.0,
)  # a language model of so many reviews is trained in more streams, and in more passes than by default
ALL = 10_000  # labels from which on a batch of the classifier is twice as large
TAUGHT, OF_TRUTH = 10_000, 0.1  # reviews that teachers label, and the share of true labels beside them
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

Rows = NDArray[np.int64]
Facts = dict[str, float | int | None]


@dataclass(frozen=True)
class Arm:
    """A language model: "general" (the shipped one), "domain" (of so many ``reviews`` alone), or the first tuned on them; and its direction."""

    regime: str
    reviews: int
    direction: Direction

    @property
    def name(self) -> str:
        return f"{self.regime}-{self.reviews}-{self.direction}"


@dataclass(frozen=True)
class Draw:
    """So many labels, drawn by ``seed``."""

    labels: int
    seed: int

    def rows(self, codes: NDArray[np.integer]) -> tuple[Rows, Rows]:
        """Rows to learn from, and others to validate on: as many as a team with so few labels has; of all rows a tenth."""
        learn = draw(codes, LabelsConfig(number=self.labels, seed=self.seed))
        rest = np.setdiff1d(np.arange(len(codes)), learn)
        if not len(rest):
            shuffled = np.random.default_rng(self.seed).permutation(len(codes))
            return np.sort(shuffled[len(codes) // 10 :]), np.sort(shuffled[: len(codes) // 10])
        return learn, rest[draw(codes[rest], LabelsConfig(number=max(20, self.labels // 9), seed=self.seed))]


@dataclass(frozen=True)
class Trials:
    """Trains into the folder ``out``, by ``settings``."""

    reviews: Reviews
    out: Path
    settings: Settings

    def tune(self, arm: Arm) -> Facts:
        """The language model of ``arm``."""
        train, valid = self.reviews.text(arm.reviews)
        text = TrainingText(train, valid, self.reviews.vocab, arm.direction)
        config, folder = self._lm_config(arm, train.tokens), self.out / "lm" / arm.name
        if arm.regime == "domain":
            record = method.pretrain(text, self.settings.model, config, folder, Placement(DEVICE))
        else:
            record = method.finetune(text, SHIPPED / arm.direction, config, folder, Placement(DEVICE))
        return {"perplexity": record.valid_perplexity, "steps": record.steps, "tokens": train.tokens}

    def _lm_config(self, arm: Arm, tokens: int) -> LMConfig:
        """As by default, but with the whole softmax; of much text in more streams."""
        config = self.settings.finetune.model_copy(update={"sampled": None})
        epochs, streams = lm_amount(config, tokens)
        if arm.regime == "general":
            return config.model_copy(update={"epochs": 0.0})
        if arm.reviews >= MANY:
            return config.model_copy(update={"epochs": PASSES, "batch_size": STREAMS})
        return config.model_copy(update={"epochs": epochs * 2, "batch_size": streams * 3}) if arm.reviews >= ALL else config

    def classify(self, arm: Arm, drawn: Draw, name: str, teaches: bool) -> Facts:
        """A classifier by default settings, and its logits in ``name``; those of unlabelled reviews too where it ``teaches``."""
        learn, valid = drawn.rows(self.reviews.train.labels)
        config = self._config(len(learn), drawn.seed)
        model = self._fresh(arm, config)
        steps = self._fit(model, arm, config, learn, valid)
        return self._judge(name, model, arm, learn, valid, teaches) | {"steps": steps}

    def teach(self, arm: Arm, drawn: Draw, teachers: list[str], name: str) -> Facts:
        """A classifier of what ``teachers`` say about unlabelled reviews, softly, and after it of the true labels."""
        learn, valid = drawn.rows(self.reviews.train.labels)
        said = self._said(teachers)
        again = max(1, int(OF_TRUTH * len(said)) // len(learn))
        truth = np.eye(len(NAMES), dtype=np.float32)[self.reviews.train.labels[learn]]
        documents = self.reviews.joined(self.reviews.pool.take(np.arange(len(said))), self.reviews.train.take(np.tile(learn, again)))
        config = self._config(drawn.labels, drawn.seed).model_copy(update={"epochs": 2, "unfreeze": "full"})
        model = self._fresh(arm, config)
        text = TrainingText(documents, Documents.of([]), self.reviews.vocab, arm.direction, NAMES)
        objective = SoftObjective(config, np.concatenate([said, np.tile(truth, (again, 1))]))
        steps = fit(Classifying(model, text, objective, Placement(DEVICE), "pseudo-labels"), Curves()).steps
        before = self._judge(f"{name}-before", model, arm, learn, valid, False)
        last = self._config(drawn.labels, drawn.seed).model_copy(update={"epochs": 6, "unfreeze": "full", "lr": 0.001})
        steps += self._fit(model, arm, last, learn, valid)
        return self._judge(name, model, arm, learn, valid, False) | {"before_true_labels": before["accuracy"], "steps": steps}

    def _fit(self, model: Classifier, arm: Arm, config: ClassifierConfig, learn: Rows, valid: Rows) -> int:
        train = self.reviews.train
        text = TrainingText(train.take(learn), train.take(valid), self.reviews.vocab, arm.direction, NAMES)
        objective = Objective(config, LabelSet.of(NAMES, config), text.train.labels)
        return fit(Classifying(model, text, objective, Placement(DEVICE), "classifier"), Curves()).steps

    def _config(self, labels: int, seed: int) -> ClassifierConfig:
        config = self.settings.classifier
        batch = 2 * config.batch_size if labels > ALL else config.batch_size
        return config.model_copy(update={"max_valid": min(500, max(20, labels // 9)), "batch_size": batch, "seed": seed})

    def _fresh(self, arm: Arm, config: ClassifierConfig) -> Classifier:
        lm, words = self.out / "lm" / arm.name, len(self.reviews.vocab)
        sizes, head = read_saved_model(lm).model, HeadConfig(config.hidden, config.head_dropouts)
        model = Classifier(words, len(NAMES), sizes, config.dropouts, head, config.seed)
        take_encoder(model, load_language_model(lm))
        return model

    def _judge(self, name: str, model: Classifier, arm: Arm, learn: Rows, valid: Rows, teaches: bool) -> Facts:
        """Write logits of test and validation rows in half precision; the accuracy on test rows."""
        read = lambda documents: predict_logits(model, documents, arm.direction, self.settings.classifier.max_tokens).numpy()
        test = read(self.reviews.test)
        logits = {"test": test, "valid": read(self.reviews.train.take(valid))} | (
            {"unlabelled": read(self.reviews.pool)} if teaches else {}
        )
        half = {split: found.astype(np.float16) for split, found in logits.items()}
        np.savez(self.out / f"{name}.npz", learn=learn, valid_rows=valid, **half)
        return {"accuracy": float((test.argmax(1) == self.reviews.test.labels).mean())}

    def _said(self, teachers: list[str]) -> NDArray[np.float32]:
        """[N, 2]: the teachers' mean probabilities of unlabelled reviews, through their temperatures; both classes are as frequent."""
        second = np.zeros(min(TAUGHT, len(self.reviews.pool)))
        for name in teachers:
            with np.load(self.out / f"{name}.npz") as found:
                truth = torch.from_numpy(self.reviews.train.labels[found["valid_rows"]].astype(np.int64))
                temperature = fit_temperature(torch.from_numpy(found["valid"].astype(np.float32)), truth, "multi-class")
                logits = found["unlabelled"][: len(second)].astype(np.float32) / temperature
            margins = logits[:, 1] - logits[:, 0]
            second += 1 / (1 + np.exp(np.median(margins) - margins)) / len(teachers)
        return np.stack([1 - second, second], 1).astype(np.float32)


class SoftObjective(Objective):
    """Cross-entropy with probabilities: a document's label is its row in ``table`` float32 [N, L]."""

    def __init__(self, config: ClassifierConfig, table: NDArray[np.float32]):
        super().__init__(config, SoftLabels("multi-class", list(NAMES), table), np.zeros(0, np.int64))

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), targets)


class SoftLabels(LabelSet):
    """``table``: the probabilities of each document."""

    def targets_of(self, codes: NDArray[np.integer]) -> Tensor:
        return torch.from_numpy(self.table[codes])
