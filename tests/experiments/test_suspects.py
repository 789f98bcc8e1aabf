"""Which labels are suspected."""

from collections import Counter

import numpy as np
import pytest

from tests.experiments.methods.test_methods import texts
from ulmfit.errors import UserError
from ulmfit.experiments.suspect_rows import Labelled, by_predictions, suspect_rows
from ulmfit.experiments.suspects import out_of_sample, suspicion


def plain_joint(probabilities, labels):
    """Northcutt et al. (2021), equations 1 and 2, row by row: the class whose threshold a row reaches, the likeliest of several."""
    classes = range(len(probabilities[0]))
    thresholds = [np.mean([p[j] for p, label in zip(probabilities, labels, strict=True) if label == j]) for j in classes]
    return [max((j for j in classes if p[j] >= thresholds[j]), key=lambda j: p[j], default=None) for p in probabilities]


def test_suspects_are_the_off_diagonal_of_the_confident_joint():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    probabilities = random.dirichlet([0.5, 0.5, 0.5], 300)
    joint = plain_joint(probabilities.tolist(), labels.tolist())
    expected = {row for row, (found, label) in enumerate(zip(joint, labels, strict=True)) if found not in (None, label)}
    found = suspicion(probabilities, labels)
    likelier = {row for row in expected if probabilities[row, joint[row]] > probabilities[row, labels[row]]}
    assert set(found.suspects().tolist()) == likelier and len(likelier) > 30
    assert all(found.suggested[row] == joint[row] for row in likelier)


def test_the_most_doubtful_comes_first_and_all_are_ranked():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.05, 0.95], [0.6, 0.4], [0.1, 0.9]])
    found = suspicion(probabilities, np.array([0, 0, 0, 0, 1]))
    assert found.ranked().tolist() == [2, 1, 3, 0, 4] and found.suspects().tolist() == [2]
    assert found.scores[2] == pytest.approx(0.9) and (found.suggested == [1, 1, 1, 1, 0]).all()


def test_flipped_labels_are_found():
    labels = np.arange(300) % 3
    rows = texts(labels, 0)
    flipped = np.arange(0, 300, 20)
    given = labels.copy()
    given[flipped] = (given[flipped] + 1) % 3
    found = suspicion(out_of_sample(rows, given, seed=0), given)
    assert set(found.suspects()[: len(flipped)].tolist()) == set(flipped.tolist())
    assert (found.suggested[flipped] == labels[flipped]).all()


def test_the_only_row_of_a_class_is_not_judged():
    labels = np.array([0, 1] * 20 + [2])
    found = suspicion(out_of_sample(texts(labels, 0), labels, seed=0), labels)
    assert len(found.ranked()) == 40 and 40 not in found.ranked() and np.isnan(found.scores[40])


def test_one_label_is_refused():
    with pytest.raises(UserError, match="two labels or more"):
        out_of_sample(["a", "b"], np.array([0, 0]), 0)


def labelled(*rows):
    texts, given = zip(*rows, strict=True)
    names = sorted(set(given))
    codes = np.array([names.index(label) for label in given])
    return Labelled(["in.csv"] * len(rows), list(range(1, len(rows) + 1)), list(texts), codes, names, Counter())


def test_predictions_of_documents_judge_their_rows_and_those_of_the_same_text(caplog):
    rows = labelled(("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"), (" D", "y"), ("e", "x"), ("f", "z"), ("g", "y"))
    ids, given = [f"in.csv:{row}" for row in (8, 4, 3, 2, 1, 7)], [[0.1, 0.9], [0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.9, 0.1], [0.5, 0.5]]
    found = suspect_rows(rows, by_predictions(rows, ids, ["x", "y"], np.array(given)))
    assert [(one.id, one.label, one.suggested) for one in found] == [("in.csv:4", "y", "x"), ("in.csv:5", "y", "x")]
    assert "1 labels have a single text" in caplog.text and "1 texts are not judged" in caplog.text and "row 6" in caplog.text
