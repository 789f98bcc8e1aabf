"""The Prefect server of one command: it starts whatever surrounds the user."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

CODE = """
import json, sys
from pathlib import Path
from cli.prefect_server import prefect_server
from tasks.workspace import Workspace
with prefect_server(Workspace.open(sys.argv[1])) as url:
    import httpx
    print(json.dumps(httpx.get(url + "/health", timeout=5).json()))
"""


@pytest.mark.server
def test_it_starts_behind_a_proxy_and_beside_files_named_as_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    for module in ("platform", "queue", "random"):
        (folder / f"{module}.py").write_text("raise SystemExit('the user\\'s file was run')\n")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-P", "-c", CODE, str(tmp_path / "workspace")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0 and json.loads(done.stdout) is True, done.stderr[-2000:]
