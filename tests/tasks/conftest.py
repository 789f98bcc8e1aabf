"""A workspace with a registered model, and work without the rights of root."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from pydantic import BaseModel

from tasks.registry import Version, register
from tasks.run import Job
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from tests.prediction.test_predictor import VOCAB, save_classifier
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation.predictions import HeldOut, Predictions, write_predictions
from ulmfit.prediction.bundle import write_bundle
from ulmfit.stages.stage import Context
from ulmfit.store.lineage import Ancestor, Lineage
from ulmfit.text.tokenizer import Tokenizer

# What a database's address, a file's URI, a shell, markup and a filter of MLflow would each read as something else.
HOSTILE = "w? 100%25 #1 'a' \"b\" [bold] a:b;c é"


class Empty(BaseModel):
    """Settings of nothing."""


def register_model(root: Path, bundle: Path, key: str) -> Version:
    """Register a model in the workspace at ``root``, as the main job does."""
    workspace = Workspace.open(root)
    tracker = Tracker.open(workspace, "ulmfit-tickets")
    job = Job(workspace, tracker, tracker.start("train", {}), Context(workspace.store, workspace.downloads))
    held_out = root / "held-out"
    held_out.mkdir(exist_ok=True)
    shares = np.tile([[0.9, 0.1], [0.6, 0.4]], (100, 1))  # the surer half is right
    documents = HeldOut([str(row) for row in range(200)], [""] * 200, np.tile([0, 1], 100), ["a", "b"])
    write_predictions(held_out, {ENSEMBLE: Predictions(shares)}, documents)
    model = SimpleNamespace(key=key, path=bundle)
    evaluation = SimpleNamespace(key="e" * 64, path=held_out, record=SimpleNamespace(answer=SCORES))
    return register.fn(job, "tickets", cast(Any, model), cast(Any, evaluation))


SCORES = {"accuracy": 0.5, "roc_auc": None}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder with its lineage."""
    folder = tmp_path_factory.mktemp(HOSTILE)
    VOCAB.save(folder / "vocab.json")
    parts = {direction: save_classifier(folder / direction, direction, seed=1) for direction in ("forward", "backward")}
    write_bundle(folder / "model", **parts, vocab=folder / "vocab.json", tokenizer=Tokenizer().definition)
    model = Ancestor(kind="model", version=1, config={}, inputs={})
    (folder / "model" / "lineage.json").write_bytes(Lineage(key="a" * 64, artifacts={"a" * 64: model}).to_json())
    return folder / "model"


@pytest.fixture(scope="session")
def registered(tracked: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of a hostile name that has a registered model."""
    root = tmp_path_factory.mktemp("registered") / HOSTILE
    shutil.copytree(tracked, root)
    register_model(root, bundle, "a" * 64)
    return root


DAC_OVERRIDE = 1  # the right of root to write where it may only read
VERSION_3 = 0x20080522


@pytest.fixture
def without_privileges() -> Callable[[], AbstractContextManager[None]]:
    """A block in which permissions of files hold for root, too (of this thread, and of those that it starts)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32

    def call(function: Any) -> None:
        if function(header, data):
            raise OSError(ctypes.get_errno(), "capabilities")

    @contextmanager
    def block() -> Iterator[None]:
        call(libc.capget)
        effective = data[0]
        data[0] = effective & ~(1 << DAC_OVERRIDE)
        call(libc.capset)
        try:
            yield
        finally:
            data[0] = effective
            call(libc.capset)

    return block


def only_readable(root: Path) -> None:
    """Take the right to write from a folder and all that is in it."""
    for parent, _, files in os.walk(root):
        for path in (parent, *(os.path.join(parent, name) for name in files)):
            os.chmod(path, os.stat(path).st_mode & ~0o222)
