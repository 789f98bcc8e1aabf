"""The wheel alone: it holds the method, and nothing of the workflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW = ("prefect", "dask", "distributed", "mlflow", "bokeh", "fastapi", "tasks", "flows", "cli")

NOTEBOOK = f"""
import importlib.util, json
from pathlib import Path

from ulmfit import TextClassifier
from ulmfit.pipeline import make_shards
from ulmfit.shards.documents import Documents

texts = [f"the {{word}} number {{number}} was {{word}}" for number in range(20) for word in ("good", "bad")]
classifier = TextClassifier(preset="tiny").fit(texts, ["good", "bad"] * 20)
classifier.save("model")
loaded = TextClassifier.load("model")
Path("texts.csv").write_text("\\n".join(["text", *texts]))
shards = make_shards("texts.csv", out="shards")
print(json.dumps({{
    "predictions": list(loaded.predict(texts)),
    "same": bool((loaded.predict_proba(texts) == classifier.predict_proba(texts)).all()),
    "documents": len(Documents.open(shards.ids.path, ["train", "valid"])),
    "found": [name for name in {WORKFLOW} if importlib.util.find_spec(name)],
}}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel of this checkout and what it declares."""
    folder = tmp_path_factory.mktemp("core")
    _run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    _run(python, "-m", "pip", "install", "--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt", wheel)
    return python


def _run(*command: object, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.install
@pytest.mark.timeout(900)  # on a first run the package index sends torch
def test_the_core_alone_fits_saves_loads_predicts_and_makes_shards(python: Path, tmp_path: Path) -> None:
    result = json.loads(_run(python, "-c", NOTEBOOK, cwd=tmp_path).splitlines()[-1])
    assert set(result.pop("predictions")) <= {"good", "bad"}
    assert result == {"same": True, "documents": 40, "found": []}
