"""The choice of the next labels by classifiers, and a training that learns from what was chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.stages.test_identity import BACKWARD, CORPUS, FORWARD, IDS, made
from ulmfit.config import ClassifierConfig, LabelsConfig, ModelConfig
from ulmfit.evaluation.predictions import Predictions
from ulmfit.labels.drawing import draw, read_chosen, write_chosen
from ulmfit.presets import override, preset
from ulmfit.shards.documents import Documents
from ulmfit.stages import choosing
from ulmfit.stages.outputs import ChosenRows
from ulmfit.stages.stage import Context
from ulmfit.store.artifacts import Store
from ulmfit.training import specs

LABELS = np.array([0, 1] * 10)
POOL = Documents.of([np.array([number, number], np.uint16) for number in range(20)], LABELS, [str(number) for number in range(20)])
SETTINGS = override(preset("tiny"), ["labels.number=4"])


def sure(documents: Documents, shift: float) -> Predictions:
    """The surer the larger a document's ids; ``shift`` is taken from it, and given by the other direction."""
    first = np.array([0.5 + int(name) / 100 + shift for name in documents.ids])
    return Predictions(np.stack([first, 1 - first], axis=1))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Documents, "open", lambda *rest: POOL)
    monkeypatch.setattr(
        choosing, "predicted", lambda _, documents, direction, device: sure(documents, 0.2 if direction == "forward" else -0.2)
    )


def chosen(folder: Path, number: int, before: ChosenRows | None = None, **parts: object) -> list[int]:
    stage = choosing.choose(CORPUS, IDS, parts.get("forward", FORWARD), parts.get("backward", BACKWARD), SETTINGS, number, before)  # type: ignore[arg-type]
    folder.mkdir()
    stage.build(folder, Context(Store(folder / "store"), folder))
    return read_chosen(folder / "rows.json").tolist()


def test_the_rows_so_far_stay_and_the_least_sure_of_the_others_join_them(pool: None, tmp_path: Path) -> None:
    drawn = draw(LABELS, SETTINGS.labels).tolist()
    found = chosen(tmp_path / "first", 7)
    assert found == sorted([*drawn, *[row for row in range(20) if row not in drawn][:3]])
    assert chosen(tmp_path / "alone", 7, backward=None)[:1] == found[:1], "of one direction too"


def test_a_choice_after_another_begins_with_it(pool: None, tmp_path: Path) -> None:
    write_chosen(tmp_path / "rows.json", np.array([0, 1, 5]))
    before = made(ChosenRows, "8", {"rows": 3})
    before = ChosenRows(before.location, before.manifest, tmp_path)
    assert chosen(tmp_path / "second", 5, before) == [0, 1, 2, 3, 5]


def test_a_classifier_learns_from_the_rows_that_were_chosen(pool: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs.Vocab, "load", lambda file: None)
    write_chosen(tmp_path / "rows.json", np.array([0, 1, 4]))
    places = {
        "ids": tmp_path,
        "vocab": tmp_path,
        "lm": None,
        "direction": "forward",
        "train": ("train",),
        "valid": ("valid",),
        "labels": ("a", "b"),
    }
    spec = specs.ClassifySpec(**places, model=ModelConfig(), config=ClassifierConfig(), chosen=tmp_path / "rows.json")
    again = specs.ClassifySpec.model_validate_json(spec.model_dump_json())
    assert [int(name) for name in again.text().train.ids] == [0, 1, 4]
    more = again.model_copy(update={"drawn": LabelsConfig(oversample=True)})
    assert [int(name) for name in more.text().train.ids] == [0, 1, 1, 4]
