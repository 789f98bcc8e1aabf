"""NB-SVM against the formulas of Wang & Manning (2012), in plain loops and a general optimiser."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from ulmfit.experiments.methods.nbsvm import NaiveBayesSVM, log_count_ratio, nbsvm_plane


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    positive = np.arange(24) % 3 == 0
    features = (random.random((24, 7)) < np.where(positive[:, None], np.linspace(0.1, 0.8, 7), 0.4)).astype(float)
    return features, positive


def plain_ratio(features, positive):
    sums = {True: [1.0] * features.shape[1], False: [1.0] * features.shape[1]}
    for row, of in zip(features, positive, strict=True):
        for column, value in enumerate(row):
            sums[bool(of)][column] += value
    p, q = sums[True], sums[False]
    return [math.log((p[i] / sum(p)) / (q[i] / sum(q))) for i in range(len(p))]


def test_log_count_ratio(rows):
    features, positive = rows
    assert log_count_ratio(csr_matrix(features), positive) == pytest.approx(plain_ratio(features, positive))


def test_the_plane_is_the_svm_on_weighted_features_drawn_towards_naive_bayes(rows):
    features, positive = rows
    ratio = np.array(plain_ratio(features, positive))
    x, y = np.hstack([features * ratio, np.ones((24, 1))]), np.where(positive, 1, -1)  # the bias is penalised as a weight, as in LIBLINEAR
    w = minimize(lambda w: 0.5 * w @ w + (np.maximum(0, 1 - y * (x @ w)) ** 2).sum(), np.zeros(8), tol=1e-12).x
    used = 0.75 * np.abs(w[:-1]).mean() + 0.25 * w[:-1]
    weight, bias = nbsvm_plane(csr_matrix(features), positive, beta=0.25, seed=0)
    assert features @ weight + bias == pytest.approx(features @ (ratio * used) + w[-1], abs=2e-3)


def test_a_small_class_does_not_draw_every_text_to_it():
    random = np.random.default_rng(0)
    own, codes = "apple pear plum fig", np.repeat([0, 1, 2], [60, 30, 6])
    words = [own.replace(" ", f"{code} ") + str(code) for code in range(3)]
    rare = lambda number: f"word{random.integers(200)} only{number}"
    texts = [f"{random.choice(words[code].split())} {rare(number)}" for number, code in enumerate(codes.tolist())]
    others = [f"{random.choice(words[code].split())} {rare(-number)}" for number, code in enumerate(codes.tolist())]
    assert (NaiveBayesSVM().fit(texts, codes, 3).probabilities(others).argmax(axis=1) == codes).mean() > 0.95
