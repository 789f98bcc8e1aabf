"""How sure a classifier of few labels should be: temperatures by a few validation documents alone, and by folds of the training documents too.

    ULMFIT_DATA=... python benchmarks/confidence.py --workspace NEW [--corpora trec-6,disaster-tweets,sentences] [--labels 100] [--draws 3]

Rows that judge are held out of the training files, so no test row is looked at. A draw of N labels has a tenth of them to validate on. Both
ways share the trainings, and differ in temperatures and in the weights of the members. ``sentences``: one of 6 to 40 words of each IMDB review, with the review's label.
Prints a line a draw; ``by chance`` is the calibration error of a model with the very same probabilities where they are right. What is
trained already is found again.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from word_curves import Rows, corpus

sys.path.insert(0, str(Path(__file__).parent.parent))

from ulmfit.config import LabelsConfig, Settings
from ulmfit.corpora.source import CorpusSource
from ulmfit.directions import DIRECTIONS, Direction, Member
from ulmfit.evaluation.calibration import expected_calibration_error, fit_temperature
from ulmfit.evaluation.mixture import LEAST, Shares
from ulmfit.evaluation.weighing import Witnesses, fit_mixture
from ulmfit.labels.drawing import draw
from ulmfit.labels.label_set import probabilities
from ulmfit.models.saving import load_classifier, read_saved_model
from ulmfit.pipeline import Shards, make_shards
from ulmfit.prediction.logits import predict_logits
from ulmfit.presets import small
from ulmfit.pretrained.transport import pretrained
from ulmfit.shards.documents import Documents
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.models import finetune
from ulmfit.stages.models import pretrained as pretrained_stage
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store
from ulmfit.text.vocab import Vocab
from ulmfit.training.method import train_classifier
from ulmfit.training.out_of_fold import read_left_out, witnesses
from ulmfit.training.specs import TrainingText
from ulmfit.training.words import train_words

POOL = {"sentences": 3_000}  # texts that the language model reads, of which labels are drawn
USUAL = 6_000
WAYS = ("validation", "folds")
SPLITS = ("train", "valid")
SENTENCE = re.compile(r"[^.!?]+[.!?]")


def sentences(downloads: Path) -> tuple[Rows, Rows]:
    """Single sentences of reviews."""
    random = np.random.default_rng(0)

    def cut(rows: Rows) -> Rows:
        found = [(text, code) for whole, code in zip(rows.texts, rows.codes, strict=True) for text in _one(whole, random)]
        return Rows([text for text, _ in found], np.array([code for _, code in found]), rows.classes)

    train, _ = corpus("imdb", downloads)
    half = len(train.codes) * 2 // 3
    return cut(train.take(np.arange(half))), cut(train.take(np.arange(half, len(train.codes))))


def _one(review: str, random: np.random.Generator) -> Iterator[str]:
    usable = [one.strip() for one in SENTENCE.findall(review.replace("<br />", " ")) if 6 <= len(one.split()) <= 40]
    if usable:
        yield usable[int(random.integers(len(usable)))]


def rows_of(name: str, downloads: Path) -> tuple[Rows, Rows]:
    """Rows to learn from, and 1,500 that judge, all of training files."""
    if name == "sentences":
        train, judged = sentences(downloads)
    else:
        train, _ = corpus(name, downloads)
        train, judged = train.take(np.arange(1_500, len(train.codes))), train.take(np.arange(1_500))
    return train.take(np.arange(min(len(train.codes), POOL.get(name, USUAL)))), judged.take(np.arange(min(len(judged.codes), 1_500)))


def shards_of(name: str, folder: Path, settings: Settings) -> Shards:
    train, judged = rows_of(name, folder / "downloads")
    for role, rows in (("train", train), ("judged", judged)):
        with (folder / f"{name}-{role}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *zip(rows.texts, (f"c{code:02}" for code in rows.codes), strict=True)])
    source = CorpusSource(str(folder / f"{name}-train.csv"), test=str(folder / f"{name}-judged.csv"))
    return make_shards(source, folder / "store", text=settings.text, vocab=settings.vocab, corpus=settings.corpus)


@dataclass(frozen=True)
class Trials:
    """Trials on one corpus."""

    shards: Shards
    folder: Path
    settings: Settings

    def classifier(self, direction: Direction, number: int, seed: int) -> Path:
        """The folder of a classifier, with what was said of its folds."""
        config = self.settings.classifier.model_copy(update={"seed": seed})
        folder = self.folder / f"{self.shards.ids.key[:8]}-{direction}-{number}-{seed}-{config.folds}"
        if not (folder / "model.safetensors").exists():
            context = Context(Store(self.folder / "store"), self.folder / "downloads")
            lm = make(pretrained_stage(pretrained("small", context.downloads), direction), context)
            lm = make(finetune(lm, self.shards.ids, self.shards.vocab, self.settings.finetune, direction), context)
            documents, (learn, valid) = self.documents(SPLITS), self.rows(number, seed)
            vocab, names = Vocab.load(self.shards.vocab.file), self.shards.corpus.record.labels
            text = TrainingText(documents.take(learn), documents.take(valid), vocab, direction, names)
            train_classifier(text, lm.path, read_saved_model(lm.path).model, config, folder)
        return folder

    def documents(self, splits: tuple[str, ...]) -> Documents:
        return Documents.open(self.shards.ids.path, splits)

    def rows(self, number: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to learn from, and a tenth to validate on."""
        drawn = draw(self.documents(SPLITS).labels, LabelsConfig(number=number, seed=seed))
        shuffled = np.random.default_rng(seed).permutation(drawn)
        return np.sort(shuffled[number // 10 :]), np.sort(shuffled[: number // 10])

    def lines(self, name: str, number: int, seed: int) -> Iterator[dict[str, object]]:
        """A line of figures for each way."""
        with ThreadPoolExecutor(len(DIRECTIONS)) as threads:
            folders = list(threads.map(lambda direction: self.classifier(direction, number, seed), DIRECTIONS))
        classifiers: dict[Direction, Path] = dict(zip(DIRECTIONS, folders, strict=True))
        learn, valid = self.rows(number, seed)
        parts, tests = [read_split(self.shards.corpus, split) for split in SPLITS], read_split(self.shards.corpus, "test")
        ids, texts = ([value for part in parts for value in getattr(part, column)] for column in ("ids", "texts"))
        names = self.shards.corpus.record.labels
        codes = np.concatenate([part.codes(names) for part in parts])
        words = train_words([texts[row] for row in learn], codes[learn], len(names), 0, texts)
        folds = witnesses(read_left_out(classifiers), words, dict(zip(ids, texts, strict=True)), seed)
        for way in WAYS:
            members = {direction: self.shares(folder, direction, valid, codes, way) for direction, folder in classifiers.items()}
            judged: dict[Member, Shares] = {direction: found[0] for direction, found in members.items()}
            known: dict[Member, Shares] = {direction: found[1] for direction, found in members.items()}
            judged["words"] = words.probabilities(tests.texts, "multi-class")
            known["words"] = words.probabilities([texts[row] for row in valid], "multi-class")
            by = Witnesses(known, codes[valid])
            by = by.joined(folds) if way == "folds" else by
            mixture = fit_mixture(by.members, by.truth, "multi-class")
            scales = {f"T {direction}": round(found[2], 2) for direction, found in members.items()}
            found = figures(mixture.join(judged, "multi-class"), tests.codes(names))
            yield {
                "corpus": name,
                "labels": number,
                "draw": seed,
                "way": way,
                **found,
                **scales,
                "words": round(mixture.weights["words"], 2),
            }

    def shares(
        self, folder: Path, direction: Direction, valid: NDArray[np.int64], codes: NDArray[np.int64], way: str
    ) -> tuple[Shares, Shares, float]:
        """Probabilities of documents that judge and of validation documents, and the temperature by one of the ways."""
        saved, model = read_saved_model(folder, "classifier"), load_classifier(folder)
        read = lambda documents: predict_logits(model, documents, direction, saved.max_tokens)
        known, judged = read(self.documents(SPLITS).take(valid)), read(self.documents(("test",)))
        assert saved.calibration is not None
        scale = saved.calibration.temperature
        if way == "validation":
            scale = fit_temperature(known, torch.from_numpy(codes[valid]), "multi-class")
        shares = [probabilities(logits, "multi-class", scale).numpy() for logits in (judged, known)]
        return shares[0], shares[1], scale


def figures(shares: Shares, truth: NDArray[np.int64]) -> dict[str, float]:
    random = np.random.default_rng(0)
    as_right = [(random.random((len(shares), 1)) > shares.cumsum(1)).sum(1).clip(max=shares.shape[1] - 1) for _ in range(50)]
    error = expected_calibration_error(shares, truth)
    return {
        "accuracy": round(100 * float((shares.argmax(1) == truth).mean()), 1),
        "log loss": round(float(-np.log(np.maximum(shares[np.arange(len(truth)), truth], LEAST)).mean()), 4),
        "calibration error": round(100 * error, 2),
        "by chance": round(100 * float(np.mean([expected_calibration_error(shares, codes) for codes in as_right])), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--corpora", default="trec-6,disaster-tweets,sentences")
    parser.add_argument("--labels", default="100")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    given = parser.parse_args()
    given.workspace.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in given.corpora.split(","):
        settings = small()
        settings = settings.model_copy(update={"classifier": settings.classifier.model_copy(update={"folds": given.folds})})
        trials = Trials(shards_of(name, given.workspace, settings), given.workspace, settings)
        for number in map(int, given.labels.split(",")):
            for seed in range(given.draws):
                for line in trials.lines(name, number, seed):
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
