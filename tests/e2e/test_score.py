"""``ulmfit score`` as users run it: many files on workers, again, after a kill, by another version; and who scored what."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.main import run
from tasks.scoring import scored_by, scorers_of
from tasks.workspace import Workspace
from tests.conftest import CommandLine
from tests.prediction.test_predictor import LABELS, texts_of
from tests.serving.conftest import make_bundle
from tests.tasks.conftest import register_model
from ulmfit.store.lineage import Ancestor, Lineage

FILES = ["year=2023/a.parquet", "year=2024/a.parquet", "year=2024/b.parquet"]


def write_data(folder: Path, names: list[str], rows: int = 30) -> Path:
    for seed, name in enumerate(names):
        texts = [f"{text} {seed}" for text in texts_of(*range(1, rows + 1))]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"no": range(rows), "text": texts}), folder / name)
    return folder


@pytest.fixture(scope="module")
def home(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two versions."""
    folder = tmp_path_factory.mktemp("scoring")
    root = Path(shutil.copytree(tracked, folder / "workspace"))
    for number, key in enumerate(("a" * 64, "b" * 64)):
        bundle = make_bundle(folder / key[0], 1 + 6 * number)
        model = Ancestor(kind="model", version=1, config={}, inputs={})
        (bundle / "lineage.json").write_bytes(Lineage(key=key, artifacts={key: model}).to_json())
        register_model(root, bundle, key)
    return root


def scoring(home: Path, model: str, data: Path, out: Path) -> list[str]:
    return ["score", model, str(data), "--output", str(out), "--dask", "2", "--workspace", str(home), "--json"]


def test_a_data_set_is_scored_as_predict_does_it(ulmfit: CommandLine, home: Path, tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data", FILES), tmp_path / "out"
    (data / "year=2024" / "bad.parquet").write_bytes(b"PAR1")
    done = ulmfit(*scoring(home, "models:/tickets@champion", data, out))
    assert done.code == 3, done.err
    assert (done.json["scored"], done.json["found"], done.json["rows"], done.json["model"]) == (3, 0, 90, "models:/tickets/1")
    assert [bad["file"] for bad in done.json["bad_files"]] == [str(data / "year=2024" / "bad.parquet")]
    assert done.json["rows_per_second"] > 0 and "rows/s" in done.out and "bad.parquet: this is not a readable Parquet file" in done.out
    assert sorted(str(file.relative_to(out)) for file in out.glob("year=*/*")) == FILES

    one = tmp_path / "one.parquet"
    assert run(["predict", "models:/tickets/1", str(data / FILES[1]), "--output", str(one), "--workspace", str(home)]) == 0
    expected, found = pq.read_table(one), pq.read_table(out / FILES[1], partitioning=None)
    assert found.column_names == expected.column_names and found["no"] == expected["no"]
    for column in ("probability", *(f"probability_{label}" for label in LABELS)):
        assert np.abs(found[column].to_numpy() - expected[column].to_numpy()).max() < 1e-6

    read, written = (scorers_of(Workspace.named(home), str(file)) for file in (data / FILES[2], out / FILES[2]))
    assert read == written and [(record.model, record.run) for record in read] == [("models:/tickets/1", done.json["run"])]
    name, files = scored_by(Workspace.named(home), "models:/tickets@champion")
    assert name == "models:/tickets/1" and {record.output for record in files} == {str(out / file) for file in FILES}


@pytest.mark.slow
def test_what_changed_and_another_version_are_scored_again(ulmfit: CommandLine, home: Path, tmp_path: Path) -> None:
    data, out, workspace = write_data(tmp_path / "data", FILES, rows=25), tmp_path / "out", Workspace.named(home)
    first = ulmfit(*scoring(home, "models:/tickets@champion", data, out))
    write_data(data, [FILES[0]], rows=31)
    second = ulmfit(*scoring(home, "models:/tickets@champion", data, out))
    assert second.code == 0, second.err
    assert (second.json["scored"], second.json["found"], second.json["rows"]) == (1, 2, 81)
    assert {record.run for record in scorers_of(workspace, str(out / FILES[1]))} == {first.json["run"]}
    third = ulmfit(*scoring(home, "models:/tickets/2", data, out))
    assert third.code == 0 and third.json["scored"] == 3, third.err
    told = ulmfit("scored", str(data / FILES[2]), "--workspace", str(home), "--json")
    assert [record["model"] for record in told.json["files"]] == ["models:/tickets/1", "models:/tickets/2"]
    assert [record.model for record in scorers_of(workspace, str(out / FILES[2]))] == ["models:/tickets/2"]
    assert "models:/tickets/2" in told.out and str(out / FILES[2]) in told.out


@pytest.mark.slow
def test_killed_it_goes_on_by_file(ulmfit: CommandLine, home: Path, tmp_path: Path) -> None:
    names = [f"part-{number:03}.parquet" for number in range(40)]
    data, out = write_data(tmp_path / "data", names, rows=400), tmp_path / "out"
    command = scoring(home, "models:/tickets@champion", data, out)
    process, deadline = ulmfit.start(*command), time.monotonic() + 120
    while len(list(out.glob("_scored/part-*"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finished = {
        file.name.removesuffix(".json"): (out / file.name.removesuffix(".json")).stat().st_mtime_ns for file in out.glob("_scored/part-*")
    }
    assert 3 <= len(finished) < 40
    second = ulmfit(*command)
    assert second.code == 0, second.err
    assert second.json["found"] >= len(finished) and second.json["found"] + second.json["scored"] == 40
    assert all((out / name).stat().st_mtime_ns == written for name, written in finished.items())
    assert all(pq.read_metadata(out / name).num_rows == 400 for name in names)


@pytest.mark.parametrize(("wrong", "said"), [("data", "no such file"), ("model", "not a model"), ("output", "--output")])
def test_what_is_at_fault_is_told_in_one_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, said: str
) -> None:
    data = write_data(tmp_path / "data", FILES[:1])
    given = {"model": home.parent / "a" / "bundle", "data": data, "output": tmp_path / "out"}
    given[wrong] = {"data": tmp_path / "none", "model": tmp_path, "output": data / "in"}[wrong]
    assert run(["score", str(given["model"]), str(given["data"]), "--output", str(given["output"]), "--workspace", str(home)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
