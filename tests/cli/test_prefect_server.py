"""The Prefect server of one command: it starts whatever surrounds the user."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.prefect_server import wait_until_it_answers
from tests.conftest import ROOT
from ulmfit.errors import RunFailed

CODE = """
import json, sys
from cli.main import set_up
set_up(debug=False)
from cli.prefect_server import prefect_server
from tasks.workspace import Workspace
with prefect_server(Workspace.open(sys.argv[1])):
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings
    with get_client(sync_client=True) as client:
        flows = client.read_flows()
    now = get_current_settings()
    print(json.dumps({"flows": flows, "home": str(now.home), "retries": now.tasks.default_retries, "persist": now.results.persist_by_default}))
"""


@pytest.mark.server
def test_it_starts_whatever_surrounds_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    for module in ("platform", "queue", "random"):
        (folder / f"{module}.py").write_text("raise SystemExit('the user\\'s file was run')\n")
    (folder / "prefect.toml").write_text("[tasks]\ndefault_retries = 7\n")
    (folder / "pyproject.toml").write_text("[tool.prefect.results]\npersist_by_default = true\n")
    (folder / ".env").write_text("PREFECT_TASKS_DEFAULT_RETRIES=8\nPREFECT_API_URL=http://127.0.0.1:9/api\n")
    (folder / "profiles.toml").write_text('active = "mine"\n[profiles.mine]\nPREFECT_RESULTS_PERSIST_BY_DEFAULT = "true"\n')
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    database = f"sqlite+aiosqlite:///{folder}/teams.db"
    mine = {"DATABASE_CONNECTION_URL": database, "PROFILE": "mine"}
    for name, value in (
        mine | {"PROFILES_PATH": str(folder / "profiles.toml"), "TASKS_DEFAULT_RETRIES": "9", "API_DATABASE_CONNECTION_URL": database}
    ).items():
        monkeypatch.setenv(f"PREFECT_{name}", value)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "[::1],fe80::/10,.example.org")  # which Prefect's client cannot read
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-P", "-c", CODE, str(tmp_path / "workspace")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {"flows": [], "home": str(tmp_path / "workspace" / "prefect"), "retries": 0, "persist": False}
    assert not (folder / "teams.db").exists()


def test_a_variable_that_prefect_cannot_read_is_one_line(tmp_path: Path) -> None:
    code = """
import os, sys
from cli.prefect_server import check_prefect
from tasks.workspace import Workspace
for name, value in {"PREFECT_API_URL": "http://[::1", "PREFECT_API_REQUEST_TIMEOUT": "soon"}.items():
    os.environ |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", name: value}
    try:
        check_prefect(Workspace.named(sys.argv[1]))
    except ValueError as error:
        print(type(error).__name__, error)
    del os.environ[name]
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    said = done.stdout.splitlines()
    assert len(said) == 2, done.stderr[-2000:]
    assert said[0].startswith(
        "UserError Prefect cannot read its variables (Value error, Invalid IPv6 URL); correct or unset one of these: "
    )
    assert "valid number" in said[1] and said[1].endswith("PREFECT_API_REQUEST_TIMEOUT, PREFECT_API_URL")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "print('starting'); raise OSError(28, 'No space left on device')",
            r"\(OSError: \[Errno 28\] No space left on device\); free some space",
        ),
        ("raise SystemExit(3)", r"\(without a word, as on a full disk\); free some space"),
    ],
)
def test_a_server_that_does_not_start_is_one_line(tmp_path: Path, code: str, said: str) -> None:
    log = tmp_path / "server.log"
    with open(log, "wb") as output:
        server = subprocess.Popen([sys.executable, "-c", code], stdout=output, stderr=output)
        with pytest.raises(RunFailed, match=rf"^the Prefect server ended while starting {said}.*{log}"):
            wait_until_it_answers("http://127.0.0.1:9/api", server, log)
