"""What the pretrained language model buys: accuracy with few labels, beside TF-IDF + logistic regression on the same rows.

    ULMFIT_DATA=DIR python benchmarks/low_shot.py imdb|ag_news|trec [--labels 100 500 2500] [--seeds 3] [--variant NAME] [--work DIR]

Variants: ``method`` (the shipped language model, fine-tuned on all of the corpus's text, then classifiers), ``no-finetuning`` (the
shipped one as it is), ``no-pretraining`` (a language model of the corpus's text alone), ``scratch`` (no language model).
The language model is fine-tuned once; each draw of labels trains a classifier a direction. Both directions run at the same time, in
a process and on half of the cores each. What is in ``--work`` is not done again.

Test rows: IMDB's ``test``; of the others a part held out here by a seed of its own. ``--validate`` judges by rows that are kept apart of
those to draw from, with draws of their own: settings are chosen by these.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from ulmfit.compute.pages import keep_pages
from ulmfit.config import LMConfig, Settings
from ulmfit.evaluation.baseline import baseline_probabilities
from ulmfit.models.saving import load_classifier, read_saved_model
from ulmfit.prediction.logits import predict_logits
from ulmfit.presets import override, preset
from ulmfit.pretrained.catalog import SHIPPED
from ulmfit.pretrained.transport import pretrained
from ulmfit.shards.documents import Documents
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training import method
from ulmfit.training.specs import TrainingText

DIRECTIONS = ("forward", "backward")
VARIANTS = ("method", "no-finetuning", "no-pretraining", "scratch")
IMDB_TEST = 5_000  # of its test rows; the standard error of an accuracy of 85% is then 0.5 points
HELD_OUT = {"ag_news": 2_000, "trec": 500}
VALIDATION = {"imdb": 2_000, "ag_news": 1_500, "trec": 800}


@dataclass(frozen=True)
class Corpus:
    """Labelled texts to draw from, further text, and test rows."""

    texts: list[str]
    labels: list[str]
    further: list[str]
    test_texts: list[str]
    test_labels: list[str]


def read(name: str, data: Path) -> Corpus:
    if name == "imdb":
        train, unsup, test = (pq.read_table(str(data / "imdb" / f"{split}.parquet")).to_pydict() for split in ("train", "unsup", "test"))
        seen = set(train["text"]) | set(unsup["text"])
        fresh = [row for row, text in enumerate(test["text"]) if text not in seen]
        fresh = np.sort(np.random.default_rng(2026).permutation(fresh)[:IMDB_TEST]).tolist()
        return Corpus(train["text"], train["label"], unsup["text"], *([test[column][row] for row in fresh] for column in ("text", "label")))
    rows = list(dict.fromkeys(_trec(data) if name == "trec" else _ag_news(data)))  # a text that stands twice would be on both sides
    order, held = np.random.default_rng(2026).permutation(len(rows)), HELD_OUT[name]
    test, train = ([rows[row] for row in part] for part in (order[:held], order[held:]))
    return Corpus([t for t, _ in train], [label for _, label in train], [], [t for t, _ in test], [label for _, label in test])


def _trec(data: Path) -> list[tuple[str, str]]:
    lines = (data / "trec" / "train_5500.label").read_text(encoding="latin-1").splitlines()
    return [(line.partition(" ")[2], line.partition(":")[0]) for line in lines if line]


def _ag_news(data: Path) -> list[tuple[str, str]]:
    table = [pq.read_table(str(path)).to_pydict() for path in sorted((data / "ag_news").glob("*.parquet"))]
    return [(text, str(label)) for part in table for text, label in zip(part["text"], part["label"], strict=True)]


def draw(labels: list[str], count: int, seed: int) -> np.ndarray:
    """Rows for a draw of ``count``: of each label in proportion; all rows where there are not so many."""
    if count >= len(labels):
        return np.arange(len(labels))
    from sklearn.model_selection import train_test_split

    return np.sort(train_test_split(np.arange(len(labels)), train_size=count, stratify=labels, random_state=seed)[0])


def rows_of(options: argparse.Namespace, labels: list[str]) -> tuple[np.ndarray, Iterator[tuple[str, int, np.ndarray]]]:
    """Validation rows (none but with ``--validate``), and of each draw its name, seed and rows."""
    order, kept = np.random.default_rng(77).permutation(len(labels)), VALIDATION[options.corpus] if options.validate else 0
    pool, first = np.sort(order[kept:]), 100 if options.validate else 0
    draws = (
        (f"{count}-{seed}", seed, pool[draw([labels[row] for row in pool], count, first + seed)])
        for count in options.labels
        for seed in range(options.seeds)
    )
    return np.sort(order[:kept]), draws


def prepare(corpus: Corpus, settings: Settings, work: Path) -> tuple[Vocab, Documents, Documents, list[str]]:
    """The vocabulary, all text with label codes (-1 behind the labelled), and the test rows; kept in ``work``."""
    names = sorted(set(corpus.labels))
    kept = work / "ids.npz"
    if not kept.exists():
        work.mkdir(parents=True, exist_ok=True)
        tokenizer = Tokenizer(settings.text.lang, settings.text.rules)
        tokens = tokenizer([*corpus.texts, *corpus.further])
        counts: Counter[str] = Counter()
        for document in tokens:
            counts.update(document)
        vocab = Vocab.from_counts(counts, settings.vocab.max_size, settings.vocab.min_count)
        vocab.save(work / "vocab.json")
        arrays = {}
        for role, documents in (("text", tokens), ("test", tokenizer(corpus.test_texts))):
            encoded = [vocab.encode(document).astype(vocab.dtype) for document in documents]
            arrays |= {role: np.concatenate(encoded), f"{role}_lengths": np.array([len(document) for document in encoded])}
        np.savez(kept, **arrays)
    vocab, arrays = Vocab.load(work / "vocab.json"), np.load(kept)
    code = {label: number for number, label in enumerate(names)}
    given = {
        "text": [code[label] for label in corpus.labels] + [-1] * len(corpus.further),
        "test": [code[label] for label in corpus.test_labels],
    }
    text, test = (
        Documents.of(np.split(arrays[role], np.cumsum(arrays[f"{role}_lengths"])[:-1]), np.array(given[role])) for role in ("text", "test")
    )
    return vocab, text, test, names


def language_model(
    variant: str, source: Path, text: Documents, vocab: Vocab, settings: Settings, direction: str, folder: Path
) -> Path | None:
    """The language model that the classifiers start from; one text in fifty is kept for its validation."""
    if variant == "scratch":
        return None
    if not (folder / "model.safetensors").exists():
        held = np.arange(len(text)) % 50 == 0
        train, valid = text.take(np.flatnonzero(~held)), text.take(np.flatnonzero(held))
        both = TrainingText(train, valid, vocab, direction)
        config: LMConfig = settings.finetune
        if variant == "no-finetuning":
            config = config.model_copy(update={"epochs": 0.0})
        if variant == "no-pretraining":
            record = method.pretrain(both, settings.model, config, folder)
        else:
            record = method.finetune(both, source, config, folder)
        (folder / "record.json").write_text(record.model_dump_json(exclude_none=True))
    return folder


def one_direction(options: argparse.Namespace, direction: str) -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    keep_pages()
    settings = settings_of(options)
    corpus = read(options.corpus, Path(os.environ["ULMFIT_DATA"]))
    vocab, text, test, names = prepare(corpus, settings, options.work / options.corpus)
    place = options.work / options.corpus / options.place
    seen = text.take(np.random.default_rng(1).permutation(len(text))[: options.domain_documents or len(text)])
    lm = language_model(options.variant, options.source[direction], seen, vocab, settings, direction, place / f"lm-{direction}")
    model = read_saved_model(lm).model if lm else settings.model
    validation, draws = rows_of(options, corpus.labels)
    judged = text.take(validation) if options.validate else test
    for name, seed, rows in draws:
        folder = place / f"{name}-{direction}{options.tag}"
        if (folder / "logits.npy").exists():
            continue
        config = settings.classifier.model_copy(update={"seed": seed} | ({} if lm else {"unfreeze": "full", "decay": 1.0}))
        started = time.perf_counter()
        labelled = TrainingText(text.take(rows), text.take([]), vocab, direction, tuple(names))
        record = method.train_classifier(labelled, lm, model, config, folder)
        seconds = time.perf_counter() - started
        logits = predict_logits(load_classifier(folder), judged, direction, settings.classifier.max_tokens)
        (folder / "record.json").write_text(
            json.dumps(record.model_dump(exclude_none=True) | {"seconds": seconds, "predict": time.perf_counter() - started - seconds})
        )
        (folder / "model.safetensors").unlink()
        np.save(folder / "logits.npy", logits.numpy())
        accuracy = float((logits.argmax(1).numpy() == judged.labels).mean())
        logging.info("%s %s %s: %.2f%% in %.0f s", options.variant, direction, name, accuracy * 100, seconds)


def table(options: argparse.Namespace) -> dict[int, dict[str, dict[str, float]]]:
    """Of each number of labels: mean and spread over the draws, of TF-IDF, either direction and both."""
    corpus = read(options.corpus, Path(os.environ["ULMFIT_DATA"]))
    names = sorted(set(corpus.labels))
    codes = np.array([names.index(label) for label in corpus.labels])
    validation, draws = rows_of(options, corpus.labels)
    judged, truth = corpus.test_texts, np.array([names.index(label) for label in corpus.test_labels])
    if options.validate:
        judged, truth = [corpus.texts[row] for row in validation], codes[validation]
    place = options.work / options.corpus / options.place
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, _, rows in draws:
        logits = {way: np.load(place / f"{name}-{way}{options.tag}" / "logits.npy") for way in DIRECTIONS}
        odds = {way: torch.softmax(torch.from_numpy(values), 1).numpy() for way, values in logits.items()}
        odds["both"] = (odds["forward"] + odds["backward"]) / 2
        cell = found[name.partition("-")[0]]
        kept = options.work / options.corpus / f"tf-idf-{name}{'-validate' if options.validate else ''}.json"
        if not kept.exists():
            baseline = baseline_probabilities([corpus.texts[row] for row in rows], codes[rows], judged, 0, len(names))
            kept.write_text(json.dumps(float((baseline.argmax(1) == truth).mean()) * 100))
        cell["tf-idf"].append(json.loads(kept.read_text()))
        for way, values in odds.items():
            cell[way].append(float((values.argmax(1) == truth).mean()) * 100)
    return {int(count): {way: _spread(values) for way, values in cell.items()} for count, cell in found.items()}


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def settings_of(options: argparse.Namespace) -> Settings:
    return override(preset("small"), options.set or [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", choices=("imdb", "ag_news", "trec"))
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 500, 2500])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, default="method")
    parser.add_argument("--pretrained", default=SHIPPED, help="a known language model, or a folder with forward/ and backward/")
    parser.add_argument("--domain-documents", type=int, help="fine-tune the language model on so many documents only")
    parser.add_argument("--validate", action="store_true", help="judge by rows kept apart of those to draw from")
    parser.add_argument("--set", action="append", help="a setting of the preset small, as stage.option=value")
    parser.add_argument("--work", type=Path, default=Path(".ulmfit/low-shot"))
    parser.add_argument("--direction", choices=DIRECTIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.place = options.variant
    if options.domain_documents:
        options.place += f"-{options.domain_documents}"
    options.tag = "-validate" if options.validate else ""
    options.tag += "-" + hashlib.sha256(json.dumps(options.set).encode()).hexdigest()[:6] if options.set else ""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    options.source = pretrained(options.pretrained).folders
    if options.direction:
        one_direction(options, options.direction)
        return
    corpus = read(options.corpus, Path(os.environ["ULMFIT_DATA"]))
    prepare(corpus, settings_of(options), options.work / options.corpus)
    children = [subprocess.Popen([sys.executable, *sys.argv, "--direction", way]) for way in DIRECTIONS]
    if any([child.wait() for child in children]):
        sys.exit(1)
    for count, row in table(options).items():
        cells = ", ".join(f"{way} {cell['mean']:.1f} ± {cell['sd']:.1f}" for way, cell in row.items())
        print(f"{options.corpus}, {options.variant}, {count:,} labels: {cells}")


if __name__ == "__main__":
    main()
