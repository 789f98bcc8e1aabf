"""A summary of a run as plain values, for tests to change, and a reader of the page."""

from html.parser import HTMLParser
from io import StringIO

import numpy as np
from rich.console import Console

from ulmfit.config import CorpusConfig, EvaluateConfig
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.quality.quality_record import Findings, SplitQuality, describe
from ulmfit.directions import DIRECTIONS, ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.evaluate import evaluate
from ulmfit.evaluation.predictions import HeldOut, Predictions
from ulmfit.presets import tiny

VOID = {"meta", "link", "br", "img", "input", "hr", "use", "path", "rect"}


class Page(HTMLParser):
    """The page's ids, links, text by tag; fails where tags do not close in order."""

    def __init__(self, source):
        super().__init__()
        self.source, self.tags, self.ids, self.targets, self.words = source, [], [], [], []
        self.open: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.take(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.take(tag, attributes)

    def take(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        assert not any(name.startswith("on") for name in values)
        if "id" in values:
            self.ids.append(values["id"])
        self.targets += [
            (tag, value) for name, value in attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster")
        ]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def results_of(labels=("bad", "good"), with_baseline=True, text="a text"):
    generator = np.random.default_rng(0)
    n = len(labels)
    truth = generator.permutation(np.arange(40 * n) % n)

    def shares(skill):
        values = np.exp(generator.normal(size=(40 * n, n)) + skill * np.eye(n)[truth])
        return values / values.sum(1, keepdims=True)

    systems = {"forward": shares(2.5), "backward": shares(2.5)}
    systems[ENSEMBLE] = (systems["forward"] + systems["backward"]) / 2
    before = dict(systems)
    if with_baseline:
        systems[baseline.NAME] = shares(0.5)
    texts = [f"{text} {row}" for row in range(40 * n)]
    documents = HeldOut([str(row) for row in range(40 * n)], texts, truth, labels)
    predictions = {name: Predictions(shares, before.get(name)) for name, shares in systems.items()}
    return evaluate(predictions, documents, EvaluateConfig(bootstrap=40, mistakes=8)).model_dump()


def results_of_several(labels=("art", "sport", "town"), text="a text"):
    generator = np.random.default_rng(0)
    truth = generator.random((90, len(labels))) < 0.4
    shares = lambda skill: 1 / (1 + np.exp(-generator.normal(size=truth.shape) - skill * (truth - 0.5)))
    systems = {"forward": shares(4), "backward": shares(4), ENSEMBLE: shares(5), baseline.NAME: shares(1)}
    documents = HeldOut([str(row) for row in range(90)], [f"{text} {row}" for row in range(90)], truth, labels)
    predictions = {name: Predictions(shares) for name, shares in systems.items()}
    return evaluate(predictions, documents, EvaluateConfig(bootstrap=40, mistakes=8)).model_dump()


def history(classifier):
    points = []
    for step in range(10, 101, 10):
        points += [{"step": step, "name": "train_loss", "value": 5 / step}, {"step": step, "name": "lr", "value": step / 1000}]
    points.append({"step": 100, "name": "valid_loss", "value": 0.5})
    return [*points, {"step": 100, "name": "valid_accuracy", "value": 0.8}] if classifier else points


def stage(name, cached, **inputs):
    kind, _, direction = name.partition("-")
    record = {"valid_perplexity": 55.5, "steps": 100} if "tune" in name or "train" in name else {"valid_accuracy": 0.8, "steps": 100}
    return {
        "name": name,
        "stage": kind,
        "direction": direction or None,
        "corpus": "domain",
        "kind": "artifact",
        "key": f"key-of-{name}",
        "run_id": f"run-of-{name}",
        "seconds": 12.3,
        "bytes": 45_600,
        "cached": cached,
        "inputs": {role: f"key-of-{source}" for role, source in inputs.items()},
        "record": record,
    }


def corpus(name, labels, text):
    held = {"documents": 100, "characters": 12_345, "labels": {label: 100 // len(labels) for label in labels}}
    empty = {"documents": 0, "characters": 0, "labels": {}}
    return {
        "key": f"key-of-{name}",
        "name": name,
        "digest": "d1935" * 12,
        "labels": list(labels),
        "splits": {"train": held, "valid": held, "test": held, "unlabelled": empty},
        "quarantined": {"no label": 7, f"{text} reason": 2},
        "duplicates": 31,
        "overlap_removed": 17,
        "warnings": [f"{text} warning"],
        "source": f"{text}.csv",
        "settings": CorpusConfig().model_dump(),
    }


def quality_of_corpus(labels=("bad", "good"), text="a text", **found):
    """A ``quality.json`` as ingest makes it, of 1,000 documents, 600 of them in train; ``found`` counts what was met."""
    counts = {name: found.get(name, 0) for name in ("duplicates", "folded_duplicates", "conflicting_labels", "with_nul")}
    held = SplitQuality.of(
        np.repeat([4, 8, 32], [100, 400, 100]), dict.fromkeys(labels, 600 // len(labels)), 600 // len(labels) * len(labels)
    )
    measured = {name: found[name] for name in ("html", "tags", "line_breaks", "entities", "broken") if name in found}
    merged = Measurements(documents=1000, characters=98_765, sampled=64, languages={"en": 59, "fr": 3}, **measured)
    findings = Findings(
        rows=1009,
        quarantined={"no label": 7, f"{text} reason": 2},
        documents={"train": 700, "test": 200},
        overlap={"train/test": 40},
        **counts,
    )
    known = describe(merged, findings, {"train": held, "test": held.model_copy(update={"lengths": (0, 0, 100)})}).model_dump(mode="json")
    return known | {"out_of_vocabulary": {"tokens": 5000, "unknown": 250, "share": 0.05, "most_frequent": [[text, 30], ["zyx", 4]]}}


ALL_CURVES = [f"{kind}-{direction}" for kind in ("pretrain", "finetune", "classify", "scratch") for direction in DIRECTIONS]


def summary_of(labels=("bad", "good"), with_baseline=True, text="a text", registered=True, curves=()):
    """A summary as a flow makes it, of few stages; ``text`` stands in all places that users fill, ``curves`` name the histories."""
    stages = [stage("ingest", True), stage("encode", True, corpus="ingest")]
    for direction in DIRECTIONS:
        stages += [
            stage(f"pretrain-{direction}", True, ids="elsewhere"),
            stage(f"finetune-{direction}", False, language_model=f"pretrain-{direction}", ids="encode"),
            stage(f"classify-{direction}", False, language_model=f"finetune-{direction}", corpus="ingest", ids="encode"),
        ]
    stages += [stage(f"scratch-{direction}", False, corpus="ingest", ids="encode") for direction in DIRECTIONS]
    stages.append(stage("average", False, forward="classify-forward", backward="classify-backward"))
    model = {"name": "ulmfit-x", "version": "3", "uri": "models:/ulmfit-x/3", "alias": "challenger"} if registered else {}
    return {
        "name": text,
        "corpus": corpus("reviews", labels, text),
        "general": corpus("wiki", ("unused",), text) | {"labels": []},
        "results": results_of(labels, with_baseline, text),
        "answered": [{"share": 0.95, "coverage": 0.812, "accuracy": 0.957}],
        "histories": {name: history("classify" in name or "scratch" in name) for name in curves},
        "lr_finders": {},
        "stages": stages,
        "settings": tiny().model_dump(mode="json"),
        "model": model | {"path": "/models/one"},
        "run": {
            "id": "0123456789abcdef",
            "experiment": "1",
            "tracking_uri": "sqlite:////w/mlflow.db",
            "started": "2025-01-02T03:04:05Z",
            "seconds": 3725.0,
            "device": "cpu",
            "workspace": "/my work",
            "versions": {"torch": "2.9.0"},
        },
    }


def printed(table, width):
    """What a terminal of that width shows of a table."""
    console = Console(width=width, record=True, file=StringIO())
    console.print(table)
    return console.export_text()
