import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.evaluation.systems import NAMES, documents, predicted, several, systems
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation.predictions import read_predictions, write_predictions


def test_predictions_come_back_as_they_were_written(tmp_path):
    labels, probabilities = systems()
    ids = [f"file.csv:{row}" for row in range(60)]
    table = pq.read_table(write_predictions(tmp_path, predicted(probabilities), documents(labels)))
    assert json.loads(table.schema.metadata[b"labels"]) == NAMES
    assert table.num_rows == 60 * len(probabilities)
    rows = table.to_pylist()
    for number, (name, shares) in enumerate(probabilities.items()):
        part = rows[60 * number : 60 * (number + 1)]
        assert [row["id"] for row in part] == ids and {row["system"] for row in part} == {name}
        assert [row["label"] for row in part] == [NAMES[code] for code in labels]
        assert [row["predicted"] for row in part] == [NAMES[code] for code in shares.argmax(1)]
        assert np.array_equal(np.array([row["probabilities"] for row in part], dtype=np.float32), shares)
        assert [row["probability"] for row in part] == shares.max(1).tolist()


def test_predictions_of_several_labels_are_lists(tmp_path):
    truth, probabilities, thresholds = several()
    table = pq.read_table(write_predictions(tmp_path, predicted(probabilities, thresholds), documents(truth)))
    rows = [row for row in table.to_pylist() if row["system"] == ENSEMBLE]
    for row, has, said in zip(rows, truth, probabilities[ENSEMBLE] >= thresholds[ENSEMBLE], strict=True):
        assert row["label"] == [name for name, held in zip(NAMES, has, strict=True) if held]
        assert row["predicted"] == [name for name, held in zip(NAMES, said, strict=True) if held]
    assert "probability" not in table.column_names
    assert np.array_equal(np.array([row["probabilities"] for row in rows], dtype=np.float32), probabilities[ENSEMBLE])


def test_what_was_written_of_one_system_is_read(tmp_path):
    labels, probabilities = systems()
    write_predictions(tmp_path, predicted(probabilities), documents(labels))
    for name, shares in probabilities.items():
        found = read_predictions(tmp_path, name)
        assert found.ids == [f"file.csv:{row}" for row in range(60)] and found.names == NAMES
        assert np.array_equal(found.labels, labels) and np.array_equal(found.probabilities, np.float32(shares))


def test_several_labels_are_read_too(tmp_path):
    truth, probabilities, thresholds = several()
    write_predictions(tmp_path, predicted(probabilities, thresholds), documents(truth))
    found = read_predictions(tmp_path, ENSEMBLE)
    assert np.array_equal(found.labels, truth) and found.probabilities.shape == truth.shape
    with pytest.raises(FileNotFoundError):
        read_predictions(tmp_path / "none", ENSEMBLE)
