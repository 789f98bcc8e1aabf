"""The main job where a document has any number of labels."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import TOPICS, CommandLine, Finished, ticket, write_general


def write_mixed(path: Path, rows: int, seed: int = 3) -> Path:
    """A csv of ``body`` and ``topics``: none to three of the topics, and a text that speaks of each of them."""
    rng = random.Random(seed)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["body", "topics"])
        for _ in range(rows):
            topics = [topic for topic in TOPICS if rng.random() < 0.35]
            writer.writerow([" ".join(ticket(rng, topic) for topic in topics) or "Please help us with this.", ";".join(topics) or ";"])
    return path


@pytest.fixture(scope="module")
def finished(ulmfit: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("mixed")
    columns = ["--corpus", str(write_mixed(folder / "mixed.csv", 900)), "--text-column", "body", "--label-column", "topics"]
    chosen = ["classifier.task=multi-label", "classifier.label_separator=';'", "classifier.epochs=8", "classifier.lr=0.03"]
    options = [
        part
        for option in [*chosen, "classifier.unfreeze=full", "classifier.class_weights=balanced", "words=true"]
        for part in ("--set", option)
    ]
    general = ["--pretrain", str(write_general(folder / "general.txt", 100)), "--preset", "tiny"]
    done = ulmfit("train", *columns, *general, *options, "--json", "--workspace", str(folder / "workspace"))
    assert done.code == 0, done.err
    return done


def test_labels_are_learnt_and_measured_one_by_one(finished: Finished) -> None:
    results = finished.json["results"]
    assert (results["task"], results["labels"], results["confusion"]) == ("multi-label", sorted(TOPICS), None)
    assert len(finished.json["corpus"]["labels"]) > 10, "combinations of labels"
    assert results["headline"] == "forward+backward+words"
    scores = results["systems"]["forward+backward+words"]
    for metric in ("accuracy", "micro_f1", "macro_f1", "roc_auc"):
        assert scores[metric]["low"] <= scores[metric]["value"] <= scores[metric]["high"]
    assert scores["roc_auc"]["value"] > 0.65
    assert [row["documents"] for row in results["per_label"]] == [
        finished.json["corpus"]["splits"]["test"]["labels"][label] for label in results["labels"]
    ]
    errors = results["calibration"]["systems"]
    assert 0 <= errors["forward"]["after"] <= 1 and errors["forward"]["before"] is not None
    assert errors["TF-IDF + logistic regression"]["before"] is None
    page = Path(finished.json["report"]).read_text()
    assert 'id="labels"' in page and 'id="confusion"' not in page


def test_the_model_predicts_lists_of_labels(ulmfit: CommandLine, finished: Finished) -> None:
    model = Path(finished.json["model"]["path"])
    assert json.loads((model / "labels.json").read_text()) == sorted(TOPICS)
    texts = ["The parcel was late, the courier lost the box.", "Router and wifi signal; invoice, refund and payment."]
    lines = ulmfit("predict", str(model), *[part for text in texts for part in ("--text", text)]).out.strip().splitlines()
    for row in map(json.loads, lines):
        assert list(row) == ["text", "labels", "probabilities", "reason"] and list(row["probabilities"]) == sorted(TOPICS)
        assert set(row["labels"]) <= set(TOPICS)
    evaluation = next(stage for stage in finished.json["stages"] if stage["name"] == "evaluate")
    folder = model.parent.parent / "evaluation" / evaluation["key"]
    rows = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert {label for row in rows for label in (*row["label"], *row["predicted"])} <= set(TOPICS)
