"""What the pretrained language model buys: accuracy with few labels, beside TF-IDF + logistic regression on the same rows.

    ULMFIT_DATA=DIR python benchmarks/low_shot.py imdb|ag_news|trec [--labels 100 500 2500] [--seeds 3] [--variant NAME] [--work DIR]

Variants: ``method`` (the shipped language model, fine-tuned on all of the corpus's text, then classifiers), ``no-finetuning`` (the
shipped one as it is), ``no-pretraining`` (a language model of the corpus's text alone), ``scratch`` (no language model).
The language model is fine-tuned once; each draw of labels trains a classifier a direction. Both directions run at the same time, in
a process and on half of the cores each. What is in ``--work`` is not done again.

Test rows: IMDB's ``test``; of the others a part held out here by a seed of its own. No setting is chosen by them.
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
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from ulmfit.baseline import baseline_probabilities
from ulmfit.config import LMConfig, Settings, override, preset
from ulmfit.memory import keep_pages
from ulmfit.models.files import load_classifier
from ulmfit.pretrained import SHIPPED, pretrained
from ulmfit.shards import Documents
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training import stages
from ulmfit.training.classifier import predict_logits
from ulmfit.training.loop import Run

DIRECTIONS = ("forward", "backward")
VARIANTS = ("method", "no-finetuning", "no-pretraining", "scratch")
IMDB_TEST = 5_000  # of its test rows; the standard error of an accuracy of 85% is then 0.5 points
HELD_OUT = {"ag_news": 2_000, "trec": 500}


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
        config: LMConfig = settings.finetune
        if variant == "no-finetuning":
            config = config.model_copy(update={"epochs": 0.0})
        if variant == "no-pretraining":
            record = stages.pretrain(train, valid, vocab, settings.model, config, direction, folder, Run())
        else:
            record = stages.finetune(source, train, valid, vocab, config, direction, folder, Run())
        (folder / "record.json").write_text(json.dumps(record))
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
    model = stages.model_config(lm) if lm else settings.model
    for count in options.labels:
        for seed in range(options.seeds):
            folder = place / f"{count}-{seed}-{direction}{options.tag}"
            if (folder / "logits.npy").exists():
                continue
            train = text.take(draw(corpus.labels, count, seed))
            config = settings.classifier.model_copy(update={"seed": seed} | ({} if lm else {"unfreeze": "full", "decay": 1.0}))
            started = time.perf_counter()
            record = stages.train_classifier(lm, train, text.take([]), vocab, names, model, config, direction, folder, Run())
            seconds = time.perf_counter() - started
            logits = predict_logits(load_classifier(folder), test, direction, settings.classifier.max_tokens)
            (folder / "record.json").write_text(
                json.dumps(record | {"seconds": seconds, "predict": time.perf_counter() - started - seconds})
            )
            (folder / "model.safetensors").unlink()
            np.save(folder / "logits.npy", logits.numpy())
            accuracy = float((logits.argmax(1).numpy() == test.labels).mean())
            logging.info("%s %s %d labels, seed %d: %.2f%% in %.0f s", options.variant, direction, count, seed, accuracy * 100, seconds)


def table(options: argparse.Namespace) -> list[dict[str, object]]:
    """A row a number of labels: mean and spread over the draws, of TF-IDF, either direction and both."""
    corpus = read(options.corpus, Path(os.environ["ULMFIT_DATA"]))
    names = sorted(set(corpus.labels))
    codes, truth = (np.array([names.index(label) for label in labels]) for labels in (corpus.labels, corpus.test_labels))
    place, rows = options.work / options.corpus / options.place, []
    for count in options.labels:
        found: dict[str, list[float]] = {"tf-idf": [], "forward": [], "backward": [], "both": []}
        for seed in range(options.seeds):
            picked = draw(corpus.labels, count, seed)
            found["tf-idf"].append(_tf_idf(options, corpus, codes, truth, picked, f"{count}-{seed}"))
            logits = {way: np.load(place / f"{count}-{seed}-{way}{options.tag}" / "logits.npy") for way in DIRECTIONS}
            odds = {way: torch.softmax(torch.from_numpy(values), 1).numpy() for way, values in logits.items()}
            odds["both"] = (odds["forward"] + odds["backward"]) / 2
            for way, values in odds.items():
                found[way].append(float((values.argmax(1) == truth).mean()) * 100)
        rows.append(
            {
                "labels": count,
                **{way: {"mean": float(np.mean(v)), "sd": float(np.std(v, ddof=1)) if len(v) > 1 else 0.0} for way, v in found.items()},
            }
        )
    return rows


def _tf_idf(options: argparse.Namespace, corpus: Corpus, codes: np.ndarray, truth: np.ndarray, picked: np.ndarray, name: str) -> float:
    kept = options.work / options.corpus / f"tf-idf-{name}.json"
    if not kept.exists():
        odds = baseline_probabilities([corpus.texts[row] for row in picked], codes[picked], corpus.test_texts, 0, int(codes.max()) + 1)
        kept.write_text(json.dumps(float((odds.argmax(1) == truth).mean()) * 100))
    return float(json.loads(kept.read_text()))


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
    parser.add_argument("--set", action="append", help="a setting of the preset small, as stage.option=value")
    parser.add_argument("--work", type=Path, default=Path(".ulmfit/low-shot"))
    parser.add_argument("--direction", choices=DIRECTIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.place = options.variant
    if options.domain_documents:
        options.place += f"-{options.domain_documents}"
    options.tag = "-" + hashlib.sha256(json.dumps(options.set).encode()).hexdigest()[:6] if options.set else ""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    options.source = pretrained(options.pretrained)
    if options.direction:
        one_direction(options, options.direction)
        return
    corpus = read(options.corpus, Path(os.environ["ULMFIT_DATA"]))
    prepare(corpus, settings_of(options), options.work / options.corpus)
    children = [subprocess.Popen([sys.executable, *sys.argv, "--direction", way]) for way in DIRECTIONS]
    if any([child.wait() for child in children]):
        sys.exit(1)
    for row in table(options):
        cells = (f"{way} {cell['mean']:.1f} ± {cell['sd']:.1f}" for way, cell in row.items() if way != "labels")
        print(f"{options.corpus}, {options.variant}, {row['labels']:,} labels: " + ", ".join(cells))


if __name__ == "__main__":
    main()
