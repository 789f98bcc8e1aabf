"""Each fold of the labelled documents is left out in turn, and predicted by classifiers of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.test_choosing import LABELS, POOL, sure
from tests.stages.test_identity import BACKWARD, CORPUS, FORWARD, IDS
from ulmfit.config import ClassifierConfig, ModelConfig
from ulmfit.evaluation.predictions import read_predictions
from ulmfit.shards.documents import Documents
from ulmfit.stages import folds
from ulmfit.stages.outputs import ChosenRows
from ulmfit.stages.stage import Context
from ulmfit.store.artifacts import Manifest, Store
from ulmfit.training import specs


def test_every_document_is_left_out_once_and_validates_what_did_not_learn_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Documents, "open", lambda *rest: POOL)
    monkeypatch.setattr(folds, "predicted", lambda _, documents, direction, device: sure(documents, 0.0))
    monkeypatch.setattr(specs.Vocab, "load", lambda file: None)
    context, left_out, names = Context(Store(tmp_path / "store"), tmp_path), [], set()
    for number in range(5):
        stage, work = folds.leave_out(IDS, number, 5, 0), tmp_path / str(number)
        work.mkdir()
        learnt = ChosenRows(str(work), Manifest.of(stage.recipe, stage.build(work, context), {}, 0.0), work)
        assert learnt.record.splits == ("train", "valid", "test") and sorted(LABELS[learnt.rows].tolist()) == [0] * 8 + [1] * 8
        places = {
            "ids": tmp_path,
            "vocab": tmp_path,
            "lm": None,
            "direction": "forward",
            "train": learnt.record.splits,
            "valid": ("valid",),
        }
        spec = specs.ClassifySpec(
            **places, labels=("a", "b"), model=ModelConfig(), config=ClassifierConfig(), chosen=learnt.file, rest_validates=True
        )
        text = spec.text()
        assert len(text.train) == 16 and len(text.valid) == 4 and not set(text.train.ids) & set(text.valid.ids)
        predicted = folds.predict_left_out(CORPUS, IDS, learnt, FORWARD, BACKWARD)
        predicted.build(work, context)
        found = read_predictions(work, folds.SYSTEM)
        assert found.ids == list(text.valid.ids) and found.names == ["ham", "spam"]
        assert found.probabilities[:, 0] == pytest.approx([0.5 + int(name) / 100 for name in found.ids])
        left_out += found.ids
        names.add(predicted.recipe.key)
    assert sorted(map(int, left_out)) == list(range(20)) and len(names) == 5
