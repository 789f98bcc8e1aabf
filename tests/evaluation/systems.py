"""Systems that predict the labels of some documents, better or worse."""

import numpy as np

from ulmfit.config import EvaluateConfig
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.predictions import HeldOut, Predictions

CONFIG = EvaluateConfig(bootstrap=50, mistakes=5)
NAMES = ["bad", "good", "so so"]


def predicted(systems, thresholds=None, uncalibrated=None):
    return {name: Predictions(shares, (uncalibrated or {}).get(name), (thresholds or {}).get(name)) for name, shares in systems.items()}


def documents(labels):
    return HeldOut([f"file.csv:{row}" for row in range(len(labels))], [f"text {row}" for row in range(len(labels))], labels, NAMES)


def systems(n=60, seed=0):
    """True codes [n], and probabilities [n, 3] of four systems."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=n)

    def shares(skill):
        values = np.exp(generator.normal(size=(n, 3)) + skill * np.eye(3)[labels])
        return (values / values.sum(1, keepdims=True)).astype(np.float32)

    found = {"forward": shares(1.5), "backward": shares(1.5), baseline.NAME: shares(1.0)}
    return labels, found | {ENSEMBLE: (found["forward"] + found["backward"]) / 2}


def several(n=60, seed=0):
    """Truth bool [n, 3], and probabilities and thresholds of three systems."""
    generator = np.random.default_rng(seed)
    truth = generator.random((n, 3)) < 0.4
    shares = lambda skill: (1 / (1 + np.exp(-generator.normal(size=truth.shape) - skill * (truth - 0.5)))).astype(np.float32)
    found = {"forward": shares(3), ENSEMBLE: shares(4), baseline.NAME: shares(1)}
    return truth, found, {name: generator.uniform(0.3, 0.7, 3) for name in found}
