"""Room on the disk and in memory is looked at before the work begins."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import room
from flows.plan import Plan
from flows.request import PreprocessRequest, TextRequest, TrainRequest
from tasks.workspace import Workspace
from ulmfit.config import Dropouts, ModelConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.errors import UserError
from ulmfit.models.language_model import LanguageModel
from ulmfit.training.placement import Placement


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "text.csv").write_text("text,label\n" + "many words here,x\n" * 60_000)
    return tmp_path / "text.csv"


def plan(request: TextRequest, root: Path, device: str = "cpu") -> Plan:
    return Plan(request, Workspace.open(root), request.settings(), domain=request.source(), placement=Placement(device))


def found(monkeypatch: pytest.MonkeyPatch, free: int, memory: int) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    monkeypatch.setattr(room, "available_memory", lambda: memory)


@pytest.mark.parametrize(("embedding", "hidden", "layers"), [(8, 12, 3), (400, 1152, 1), (20, 20, 2)])
def test_weights_are_counted_as_the_model_has_them(embedding: int, hidden: int, layers: int) -> None:
    sizes = ModelConfig(embedding=embedding, hidden=hidden, layers=layers)
    assert room.weights(sizes, 100) == sum(parameter.numel() for parameter in LanguageModel(100, sizes, Dropouts()).parameters())


def test_a_large_model_on_a_small_machine_warns(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    request = TrainRequest(corpus=str(corpus), preset="base")
    found(monkeypatch, free=1 << 30, memory=1 << 30)
    with caplog.at_level(logging.WARNING):
        room.check_room(plan(request, tmp_path / "w"))
    assert "1.0 GiB of disk are free" in caplog.text and "1.0 GiB of memory are available" in caplog.text
    caplog.clear()
    room.check_room(plan(request, tmp_path / "w", device="cuda:0"))
    assert "memory" not in caplog.text
    found(monkeypatch, free=1 << 40, memory=1 << 40)
    caplog.clear()
    room.check_room(plan(request, tmp_path / "w"))
    assert not caplog.text


def test_preprocessing_needs_room_for_the_text_alone(corpus: Path, tmp_path: Path) -> None:
    made = plan(PreprocessRequest(corpus=str(corpus)), tmp_path / "w")
    assert room.memory_needed(made) == 0 and 3 * corpus.stat().st_size < room.disk_needed(made) < 4 * corpus.stat().st_size


def test_a_disk_that_is_as_good_as_full_is_refused(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, free=10 << 20, memory=1 << 40)
    with pytest.raises(UserError, match=r"10 MiB of disk are free.*free some space"):
        room.check_room(plan(PreprocessRequest(corpus=str(corpus)), tmp_path / "w"))


def test_text_of_files_folders_and_packed_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x" * 1000)
    packed = gzip.compress(b"words " * 1000)
    (tmp_path / "b.csv.gz").write_bytes(packed)
    assert room.text_bytes(CorpusSource(str(tmp_path))) == 1000 + 4 * len(packed)
    assert room.text_bytes(CorpusSource(str(tmp_path / "a.csv"), test=str(tmp_path / "a.csv"))) == 2000
    assert room.text_bytes(CorpusSource("imdb")) == 0
    assert room.available_memory() > 0
