"""Trainings and their records as data: JSON and back."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from tests.shards.parts import ids_table
from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.shards.arrow import IDS_SUFFIX, SPLIT, write_ipc
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training.specs import ClassifySpec, FinetuneSpec, PretrainSpec, TrainingRecord, TrainingSpec, WarmSpec

TEXT = {"ids": Path("ids"), "train": ("train", "unlabelled"), "valid": ("valid",), "vocab": Path("vocab.json"), "direction": "backward"}
SPECS = [
    PretrainSpec(**TEXT, model=ModelConfig(embedding=8), config=LMConfig(epochs="auto", lr=0.0037)),
    FinetuneSpec(**TEXT, pretrained=Path("lm"), config=LMConfig(epochs=0.3)),
    WarmSpec(**TEXT, earlier=Path("lm"), new_parts=("part-00001",), replay=0.5, seed=1, keep=0.5, config=LMConfig(epochs=2)),
    ClassifySpec(**TEXT, lm=None, labels=("a", "b|c"), model=ModelConfig(), config=ClassifierConfig(patience=2)),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.training)
def test_a_spec_survives_json_as_the_training_that_it_is(spec):
    assert TypeAdapter(TrainingSpec).validate_json(spec.model_dump_json()) == spec


def test_a_direction_that_does_not_exist_is_refused():
    with pytest.raises(ValidationError, match="direction"):
        PretrainSpec(**TEXT | {"direction": "sideways"}, model=ModelConfig(), config=LMConfig())


def test_a_specs_text_is_that_of_its_splits(tmp_path):
    vocab = Vocab([*SPECIALS, *"abc"])
    vocab.save(tmp_path / "vocab.json")
    table = {
        "id": pa.array(["1", "2", "3"]),
        "ids": pa.array([np.array([9, 10], dtype=np.uint16)] * 3, pa.list_(pa.uint16())),
        "label": pa.array([0, 1, 0], pa.int32()),
        "split": pa.array(["train", "valid", "test"]).cast(SPLIT),
    }
    write_ipc(tmp_path / f"part-00000{IDS_SUFFIX}", pa.table(table))
    text = SPECS[-1].model_copy(update={"ids": tmp_path, "vocab": tmp_path / "vocab.json"}).text()
    assert (len(text.train), len(text.valid), text.vocab, text.direction, text.labels) == (1, 1, vocab, "backward", ("a", "b|c"))


def test_a_warm_spec_takes_new_parts_and_knows_the_held_out_text_apart(tmp_path):
    Vocab([*SPECIALS, *"abc"]).save(tmp_path / "vocab.json")
    for part in range(3):
        documents = [[9] * 4, [10] * 4, [11] * 4]
        write_ipc(tmp_path / f"part-0000{part}{IDS_SUFFIX}", ids_table(documents, prefix=f"{part}/", splits=["train", "train", "valid"]))
    spec = SPECS[2].model_copy(update={"ids": tmp_path, "vocab": tmp_path / "vocab.json"})
    assert [name[0] for name in spec.text().train.ids].count("1") == 2 and len(spec.text().train) == 3
    assert [documents.ids for documents in spec.held_out()] == [["0/2", "2/2"], ["1/2"]]
    with pytest.raises(ValueError, match="part-00009"):
        spec.model_copy(update={"new_parts": ("part-00009",)}).text()


def test_a_record_has_the_facts_that_apply_and_ignores_others():
    record = TrainingRecord.model_validate({"steps": 3, "valid_loss": 0.5, "model_id": "m-1"})
    assert record.model_dump(exclude_none=True) == {"steps": 3, "valid_loss": 0.5}
