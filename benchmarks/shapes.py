"""Which shape a language model should have: tokens of pretraining against perplexity and against accuracy with few labels.

    ULMFIT_DATA=DIR python benchmarks/shapes.py [--shapes 256/512/2 ...] [--tokens 12000000 36000000] [--also FOLDER ...] [--work DIR]

Each shape (embedding/hidden/layers) is pretrained on ``wikipedia/`` by ``ulmfit pretrain``, forward, once for each amount of tokens:
every model has come to the end of its schedule. Two are at work at a time, on a core each. Of each, and of other finished models
(``--also``: folders with ``forward/``):

- perplexity on the first 200,000 tokens of Wikipedia's validation articles,
- probe: IMDB, logistic regression on the mean of the states of a review's first 1,000 tokens, 500 labels, ten draws; once with the
  language model as it is, once fine-tuned as below: what a classifier must beat,
- AG News, 500 labels, three draws, as ``low_shot.py``: fine-tuned on the corpus's text, then classifiers, forward alone,
- IMDB the same, fine-tuned by two passes over 10,500 reviews; the seconds of both trainings on one core.

Accuracies are of the validation rows of ``low_shot.py``: no test row is looked at. What is in ``--work`` is not done again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import low_shot
import numpy as np
import perplexity
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ulmfit.compute.pages import keep_pages
from ulmfit.models.classifier import Classifier
from ulmfit.models.saving import load_language_model, read_saved_model
from ulmfit.models.transfer import take_encoder
from ulmfit.presets import preset
from ulmfit.shards.batches import inference_batches, pad
from ulmfit.shards.documents import Documents
from ulmfit.text.tokenizer import Tokenizer

LABELS, PROBES, DRAWS = 500, 10, 3


def data() -> Path:
    return Path(os.environ["ULMFIT_DATA"])


def results(model: Path, work: Path) -> Path:
    return work / f"{model.name}.json"


def pretrain(out: Path, workspace: Path) -> None:
    """The language model that ``out`` names: EMBEDDING-HIDDEN-LAYERS-TOKENS."""
    *shape, tokens = out.name.split("-")
    values = [f"model.{size}={value}" for size, value in zip(("embedding", "hidden", "layers"), shape, strict=True)]
    values += [f"pretrain.max_tokens={tokens}", "general.test_share=0.0"]
    command = ["pretrain", "--corpus", str(data() / "wikipedia"), "--preset", "small", "--direction", "forward"]
    command += ["--workspace", str(workspace), "--export", str(out), *(word for value in values for word in ("--set", value))]
    subprocess.run([str(Path(sys.executable).with_name("ulmfit")), *command], check=True)


def measure(model: Path, work: Path) -> None:
    torch.set_num_threads(1)
    keep_pages()
    folder = model / "forward"
    articles = Tokenizer("en", "default")(dict(perplexity.texts(data()))["Wikipedia valid"])
    found: dict[str, object] = {"perplexity": perplexity.measure(folder, articles)[0]}
    found["probe"] = probe(options_for("imdb", PROBES, model, work))
    found["ag_news"] = classifier(options_for("ag_news", DRAWS, model, work))
    options = options_for("imdb", DRAWS, model, work, "-fine-tuned")
    options.domain_documents, options.set = 10_500, ["finetune.epochs=2"]
    found["imdb"] = classifier(options)
    found["seconds"] = seconds(options)
    options.seeds = PROBES
    found["probe after fine-tuning"] = probe(options)
    results(model, work).write_text(json.dumps(found))


def options_for(corpus: str, draws: int, model: Path, work: Path, suffix: str = "") -> argparse.Namespace:
    """As if from the command line of ``low_shot.py``."""
    options = argparse.Namespace(corpus=corpus, labels=[LABELS], seeds=draws, variant="method", domain_documents=None, set=None)
    options.validate, options.tag = True, "-validate"
    options.work, options.place, options.source = work, model.name + suffix, {"forward": model / "forward"}
    return options


def place(options: argparse.Namespace) -> Path:
    return options.work / options.corpus / options.place


def probe(options: argparse.Namespace) -> list[float]:
    """Accuracy of a linear model on the language model's states: one figure a draw. As it is, its vocabulary carried over, or fine-tuned."""
    corpus, settings = low_shot.read(options.corpus, data()), low_shot.settings_of(options)
    vocab, text, _, _ = low_shot.prepare(corpus, settings, options.work / options.corpus)
    source, lm = options.source["forward"], place(options) / "lm-forward"
    low_shot.language_model("no-finetuning", source, text, vocab, settings, "forward", lm)  # where it is not fine-tuned yet
    validation, draws = low_shot.rows_of(options, corpus.labels)
    picked = [rows for _, _, rows in draws]
    states = dict(_states(lm, text, np.unique(np.concatenate([validation, *picked]))))
    table = lambda rows: (np.stack([states[row] for row in rows]), text.labels[rows])
    ways = {"l1_ratios": (0.0,), "scoring": "accuracy", "use_legacy_attributes": False}  # what scikit-learn 1.10 does unasked
    linear = lambda: make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=np.logspace(-4, 1, 6), cv=3, max_iter=500, **ways))
    return [float(linear().fit(*table(rows)).score(*table(validation))) * 100 for rows in picked]


def _states(lm: Path, text: Documents, rows: np.ndarray) -> Iterable[tuple[int, np.ndarray]]:
    """Of each row the mean, float32 [E], of the last layer's states over its first tokens."""
    model, config = read_saved_model(lm).model, preset("small").classifier
    pretrained, documents = load_language_model(lm), text.take(rows)
    encoder = Classifier(pretrained.encoder.vocab_size, 2, model, config.dropouts)
    take_encoder(encoder, pretrained)
    encoder.eval()
    for index in inference_batches(np.minimum(documents.lengths, config.max_tokens), 128, 1 << 18):
        batch = pad(documents, index, "forward", config.max_tokens)
        with torch.no_grad():
            pooled = encoder.pool(batch.ids, batch.lengths, encoder.encoder.draw(len(index)), config.bptt, 0)
        yield from zip(rows[index].tolist(), pooled[:, -model.embedding :].numpy(), strict=True)


def classifier(options: argparse.Namespace) -> list[float]:
    """Accuracy of a classifier a draw, forward."""
    low_shot.one_direction(options, "forward")
    corpus = low_shot.read(options.corpus, data())
    validation, draws = low_shot.rows_of(options, corpus.labels)
    names = sorted(set(corpus.labels))
    truth = np.array([names.index(corpus.labels[row]) for row in validation])
    logits = [np.load(place(options) / f"{name}-forward{options.tag}" / "logits.npy") for name, _, _ in draws]
    return [float((values.argmax(1) == truth).mean()) * 100 for values in logits]


def seconds(options: argparse.Namespace) -> tuple[float, float]:
    """Of fine-tuning the language model, and of training a classifier, the mean over the draws."""
    record = lambda folder: json.loads((folder / "record.json").read_text())
    classifiers = [record(folder)["seconds"] for folder in place(options).glob(f"{LABELS}-*")]
    return record(place(options) / "lm-forward")["training_seconds"], float(np.mean(classifiers))


def two_at_a_time(function: Callable[[Path], object], models: Iterable[Path]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(function, models))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="*", default=["256/512/3", "320/640/2", "256/512/2"])
    parser.add_argument("--tokens", type=int, nargs="*", default=[12_000_000, 36_000_000])
    parser.add_argument("--also", type=Path, nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path(".ulmfit/shapes"))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.measure:
        measure(options.measure, options.work)
        return
    models = [options.work / f"{shape.replace('/', '-')}-{tokens}" for tokens in options.tokens for shape in options.shapes]
    two_at_a_time(lambda out: pretrain(out, options.work), [out for out in models if not (out / "manifest.json").exists()])
    models += options.also
    for name in ("imdb", "ag_news"):
        low_shot.prepare(low_shot.read(name, data()), preset("small"), options.work / name)
    again = [sys.executable, __file__, "--work", str(options.work), "--measure"]
    waiting = [model for model in models if not results(model, options.work).exists()]
    two_at_a_time(lambda model: subprocess.run([*again, str(model)], check=True), waiting)
    for model in models:
        print(line(model.name, json.loads(results(model, options.work).read_text())))


def line(name: str, found: dict) -> str:
    accuracies = ("probe", "ag_news", "imdb", "probe after fine-tuning")
    cells = ", ".join(f"{key} {np.mean(found[key]):.1f} ± {np.std(found[key], ddof=1):.1f}" for key in accuracies)
    tuning, training = found["seconds"]
    return f"{name}: perplexity {found['perplexity']:.1f}, {cells}; on IMDB {tuning:.0f} s fine-tuning, {training:.0f} s a classifier"


if __name__ == "__main__":
    main()
