"""Words become a member of a model's ensemble: how much they count is found on validation documents."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ulmfit.directions import DIRECTIONS
from ulmfit.evaluation.mixture import Mixture, write_mixture
from ulmfit.evaluation.weighing import Witnesses, fit_mixture
from ulmfit.models.words import WordModel
from ulmfit.prediction.bundle import WORDS
from ulmfit.prediction.predictor import Predictor


def add_words(
    bundle: Path, words: Path, texts: Sequence[str], truth: NDArray[Any], device: str = "cpu", folds: Witnesses | None = None
) -> Mixture:
    """Put the model in the folder ``words`` into ``bundle``, weighed by validation ``texts`` with their ``truth``, int [N] or bool [N, L].

    ``folds``: training documents that weigh too.
    """
    predictor = Predictor(bundle, device)
    model = WordModel.load(words, len(predictor.labels))
    members = {**predictor.members(texts, shown=False), "words": model.probabilities(texts, predictor.task)}
    assert members.keys() == {*DIRECTIONS, "words"}, "words are no member yet"
    calibrated = any(predictor.bundle.calibration(direction).temperature != 1.0 for direction in DIRECTIONS)  # 1 is what "off" leaves
    known = Witnesses(members, truth)
    known = known.joined(folds) if folds else known
    mixture = fit_mixture(known.members, known.truth, predictor.task, calibrated)
    model.save(bundle / WORDS)
    write_mixture(bundle, mixture)
    return mixture
