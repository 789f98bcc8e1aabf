"""Files of a data set, scored one by one: what is kept, what is not done again, and what is wrong with a file or a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.prediction.test_predictor import LABELS, texts_of
from tests.serving.conftest import make_bundle
from ulmfit.errors import RunFailed, UserError
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.scoring import (
    MARK,
    FileSpec,
    ModelInUse,
    OutputMark,
    ScoredFile,
    after_deaths,
    data_set,
    output_place,
    read_record,
    records_in,
    score_file,
)
from ulmfit.shards.mapping import PartKilled
from ulmfit.store import filesystem

TEXTS = texts_of(3, 40, 1, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "first", 1)


@pytest.fixture(scope="module")
def model(folder: Path) -> ModelInUse:
    return ModelInUse("models:/tickets/1", str(folder), Predictor(folder).digest, "fp32")


def write(file: Path, **columns: pa.Array | list[object]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)
    return file


@pytest.fixture
def spec(tmp_path: Path, model: ModelInUse) -> FileSpec:
    ids = pa.array([7, 8, 9, 10], pa.int16())
    write(tmp_path / "in" / "year=2024" / "part-0.parquet", no=ids, text=pa.array([*TEXTS[:2], None, TEXTS[3]]))
    return FileSpec(str(tmp_path / "in"), "year=2024/part-0.parquet", str(tmp_path / "out"), "text", model, "run 1")


def test_every_column_is_kept_and_the_numbers_are_those_of_the_model(spec: FileSpec, folder: Path) -> None:
    result = score_file(spec)
    table = pq.read_table(spec.output)
    columns = [f"probability_{label}" for label in LABELS]
    assert table.column_names == ["no", "text", "label", "probability", *columns, "reason"]
    assert table.schema.field("no").type == pa.int16() and table["no"].to_pylist() == [7, 8, 9, 10]
    expected = Predictor(folder).probabilities([TEXTS[0], TEXTS[1], TEXTS[3]])
    found = np.array([table[column].to_pylist() for column in columns], dtype=float).T
    assert np.abs(found[[0, 1, 3]] - expected).max() < 1e-6 and np.isnan(found[2]).all()
    assert table["reason"].to_pylist() == [None, None, "no text", None]
    record = result.record
    assert not result.found and record.rows == 4 and record.refused == {"no text": 1} and not record.fault
    assert [(row.row, row.reason) for row in record.named] == [("row 3 of part-0.parquet", "no text")]
    assert record.model == "models:/tickets/1" and record.run == "run 1" and record.file == spec.file
    assert read_record(spec.record) == record and records_in(spec.place) == [record]


def test_what_is_done_is_not_done_again(spec: FileSpec) -> None:
    first = score_file(spec)
    written = Path(spec.output).stat().st_mtime_ns
    again = score_file(replace(spec, run="run 2"))
    assert again.found and again.record == first.record and Path(spec.output).stat().st_mtime_ns == written


@pytest.mark.parametrize("change", ["content", "version", "column", "output gone", "output cut", "record damaged"])
def test_what_has_changed_is_done_again(spec: FileSpec, change: str) -> None:
    score_file(spec)
    now = spec
    match change:
        case "content":
            write(Path(spec.file), no=[1], text=TEXTS[:1], other=["x"])
        case "version":
            now = replace(spec, model=replace(spec.model, name="models:/tickets/2"))
        case "column":
            write(Path(spec.file), text=TEXTS[:1], other=["the film"])
            score_file(spec)
            now = replace(spec, text_column="other")
        case "output gone":
            Path(spec.output).unlink()
        case "output cut":
            Path(spec.output).write_bytes(Path(spec.output).read_bytes()[:-1])
        case "record damaged":
            Path(spec.record).write_text("{")
    result = score_file(now)
    assert not result.found and pq.read_table(spec.output).num_rows == result.record.rows
    assert score_file(now).found


def test_a_bad_file_is_named_and_leaves_no_output_of_before(spec: FileSpec) -> None:
    score_file(spec)
    Path(spec.file).write_bytes(b"PAR1 and no more")
    result = score_file(spec)
    assert "not a readable Parquet file" in result.record.fault and spec.file in result.record.fault
    assert not Path(spec.output).exists() and not score_file(spec).found
    write(Path(spec.file), body=TEXTS)
    assert "there is no column 'text'" in score_file(spec).record.fault
    Path(spec.file).unlink()
    assert "the file is gone" in score_file(spec).record.fault


def test_a_file_that_kills_workers_is_a_bad_file(spec: FileSpec) -> None:
    mended = after_deaths(spec, PartKilled(0, spec.name, 4, 10**9))
    record = score_file(mended).record
    assert "4 workers died" in record.fault and not Path(spec.output).exists()


def test_no_column_has_the_name_of_a_folder(tmp_path: Path, model: ModelInUse) -> None:
    name = "label=x/part.parquet"
    write(tmp_path / "in" / name, text=TEXTS[:1])
    spec = FileSpec(str(tmp_path / "in"), name, str(tmp_path / "out"), "text", model, "run")
    assert score_file(spec).record.fault == "" and "predicted_label" in pq.ParquetFile(spec.output).schema_arrow.names


def test_another_model_at_the_place_is_no_input_of_anybody(spec: FileSpec) -> None:
    with pytest.raises(RunFailed, match="another model is there"):
        score_file(replace(spec, model=replace(spec.model, digest="0" * 64)))
    assert not Path(spec.record).exists()


def test_a_data_set_is_its_parquet_files(tmp_path: Path) -> None:
    for name in ("b.parquet", "a=1/b=2/c.PARQUET", "_temporary/d.parquet", ".hidden/e.parquet", ".f.parquet", "_SUCCESS", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert data_set(str(tmp_path)) == (str(tmp_path), ["a=1/b=2/c.PARQUET", "b.parquet"])
    assert data_set(str(tmp_path / "b.parquet")) == (str(tmp_path), ["b.parquet"])
    for wrong in ("notes.txt", "_temporary/none", "none"):
        with pytest.raises(UserError) as error:
            data_set(str(tmp_path / wrong))
        assert "\n" not in str(error.value)


def test_an_object_whose_name_begins_with_a_slash_is_no_path_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"exists": True, "is_folder": True, "files": {"/etc/x.parquet": 1}}.items():
        monkeypatch.setattr(filesystem, name, lambda location, value=value: value)
    with pytest.raises(UserError, match="leads out of the folder"):
        data_set("s3://bucket")


def test_the_output_is_a_new_folder_or_one_of_ours(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "a.parquet", text=TEXTS)
    assert output_place(str(tmp_path / "out"), str(data)) == str(tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.parquet").write_bytes(b"x")
    for place in (other, data, data / "below", tmp_path, "gs://bucket/x", data / "a.parquet"):
        with pytest.raises(UserError, match="--output"):
            output_place(str(place), str(data))
    (other / MARK).parent.mkdir()
    (other / MARK).write_text("{}")
    assert output_place(str(other), str(data)) == str(other)
    assert output_place(str(data / "scored"), str(data / "a.parquet")) == str(data / "scored")
    OutputMark(model="m", dataset=str(data), text_column="text").write(str(other))
    assert output_place(str(other), f"{data}/") == str(other)
    with pytest.raises(UserError, match=r"holds what was scored of .*; choose another folder"):
        output_place(str(other), str(tmp_path / "another"))
    link = tmp_path / "link"
    link.symlink_to(data, target_is_directory=True)
    with pytest.raises(UserError, match="one in the other"):
        output_place(str(link / "below"), str(data))


def test_a_data_set_on_s3_is_the_same_with_and_without_a_slash(tmp_path: Path) -> None:
    OutputMark(model="m", dataset="s3://bucket/data", text_column="text").write(str(tmp_path))
    assert output_place(str(tmp_path), "s3://bucket/data/") == str(tmp_path)
    with pytest.raises(UserError, match="holds what was scored of s3://bucket/data"):
        output_place(str(tmp_path), "s3://bucket/data2")


def test_a_record_of_a_later_version_can_be_read(spec: FileSpec) -> None:
    record = score_file(spec).record
    assert ScoredFile.model_validate_json(record.model_dump_json()[:-1] + ', "later": 1}') == record
