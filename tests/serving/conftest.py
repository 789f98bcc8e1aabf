"""Servers in this process: of a tiny model, and a client that starts and ends them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.models import Folder, Models
from tests.prediction.test_predictor import VOCAB, save_classifier
from ulmfit.prediction.bundle import write_bundle
from ulmfit.prediction.predictor import Predictor
from ulmfit.text.tokenizer import Tokenizer


def make_bundle(folder: Path, seed: int) -> Path:
    """A model with weights of chance."""
    folder.mkdir()
    VOCAB.save(folder / "vocab.json")
    forward, backward = (save_classifier(folder / name, name, seed + number) for number, name in enumerate(("forward", "backward")))
    write_bundle(folder / "bundle", forward, backward, folder / "vocab.json", Tokenizer().definition)
    return folder / "bundle"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("serving") / "first", 1)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("serving") / "other", 7)


@pytest.fixture(scope="session")
def predictor(folder: Path) -> Predictor:
    return Predictor(folder)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Models(Folder(folder))), raise_server_exceptions=False) as running:
        yield running
