"""The compose file: by the schema of the compose specification, and by rules of ours. No container engine is at hand here."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.credentials import Credentials
from infra.local.services import client_environment
from infra.local.stack import Settings, Stack
from infra.secret_files import make
from tests.conftest import ROOT
from tests.infra.manifests import FOLDER, built, named

COMPOSE = ROOT / "infra" / "compose"
FILES = sorted(COMPOSE.glob("*.yaml"))
PROJECT: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]


def test_the_schema_of_the_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = subprocess.run([*command, str(ROOT / "prefect.yaml")], capture_output=True, text=True)
    assert broken.returncode == 1, "the check can fail"


@pytest.mark.parametrize("name", SERVICES)
def test_what_every_service_has(name: str) -> None:
    one = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:(\$\{ULMFIT_VERSION:-[\d.]+\}|(?!latest)[\w.-]+)", one["image"])
    assert one["read_only"] is True and one["cap_drop"] == ["ALL"] and one["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory", "pids"} <= one["deploy"]["resources"]["limits"].keys()
    assert "healthcheck" in one and "privileged" not in one and one.get("network_mode") is None
    assert all(re.match(r"127\.0\.0\.1:\d+:\d+$", port) for port in one.get("ports", ())), "ports are those of loopback"
    if one["image"].startswith("docker.io"):
        assert one["user"] not in ("root", "0"), "images of ours have a user of their own"
    endless = one.get("restart") == "unless-stopped"
    assert endless == (name not in ("deploy", "backup")) and (endless != one["healthcheck"].get("disable", False))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_is_there(name: str) -> None:
    one = SERVICES[name]
    assert set(one["secrets"]) <= PROJECT["secrets"].keys() and set(one["networks"]) <= PROJECT["networks"].keys()
    assert set(one.get("depends_on", ())) <= SERVICES.keys()
    for needed, how in one.get("depends_on", {}).items():
        healthy = how["condition"] == "service_healthy"
        assert healthy != SERVICES[needed]["healthcheck"].get("disable", False)
    for volume in one.get("volumes", ()):
        source = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", volume).partition(":")[0]
        assert source in PROJECT["volumes"] or source in ("./landing", "./backup") or (COMPOSE / source).exists(), volume
    read = {value.removeprefix("/run/secrets/") for value in strings(one) if value.startswith("/run/secrets/")}
    assert read <= set(one["secrets"]), f"it reads {read - set(one['secrets'])}"
    wanted = {urls for value in strings(one) for urls in re.findall(r"(?:@|//)([a-z0-9-]+):\d+", value)} - {"localhost"}
    for host in {host for host in wanted if not host[0].isdigit()}:
        assert set(SERVICES[host]["networks"]) & set(one["networks"]), f"{host} is in no network of it"


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)


def test_databases_and_bucket_have_no_way_out() -> None:
    internal = {name for name, network in PROJECT["networks"].items() if network.get("internal")}
    assert set(SERVICES["postgres"]["networks"]) <= internal and set(SERVICES["s3"]["networks"]) <= internal
    assert {name for name, one in SERVICES.items() if "database" in one["networks"]} == {"postgres", "mlflow", "prefect", "backup"}


def test_secrets_are_files_from_outside_and_all_of_them_are_made(tmp_path: Path) -> None:
    assert all(one == {"file": f"${{ULMFIT_SECRETS:?}}/{name}"} for name, one in PROJECT["secrets"].items())
    made = make(tmp_path / "secrets")
    assert set(made) == PROJECT["secrets"].keys() == {key for one in built(FOLDER / "secrets") for key in one["data"]}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    before = {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()}
    assert make(tmp_path / "secrets") == [] and all(len(content) >= 20 for content in before.values())
    assert {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()} == before
    key, secret = before["s3-key"].decode(), before["s3-secret"].decode()
    assert before["s3-auth"].decode() == f'"{key},{secret}"'


def test_clients_have_the_variables_of_the_stack_on_one_machine(tmp_path: Path) -> None:
    """But for values that name a machine or a folder, in both kinds of containers."""
    stack = Stack(tmp_path, Settings())
    names = set(client_environment(stack, Credentials())) - {"ULMFIT_HOME", "ULMFIT_STACK_DASK"}
    for given in (PROJECT["x-client"] | PROJECT["x-s3"], settings("client") | settings("s3")):
        assert {name.removesuffix("_FROM") for name in given} == names | {"ULMFIT_PLACES"}


def settings(name: str) -> dict[str, str]:
    (found,) = [one["data"] for one in built(FOLDER / "base") if named(one) == ("ConfigMap", name)]
    return found


def test_no_secret_is_in_the_tree() -> None:
    files = [path for path in (ROOT / "infra").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    for file in files:
        text = file.read_text()
        assert "PRIVATE KEY" not in text and not re.search(r"\b[0-9a-f]{40}\b", text), file
        for value in re.findall(r"(?:PASSWORD|SECRET(?:_ACCESS)?_KEY|AUTH_STRING|AUTH_KEY|ACCESS_KEY_ID)\w*[\"']?: ?\"?([^\s,\"}]+)", text):
            assert value.startswith("/run/secrets/"), f"{file}: {value}"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "infra/kubernetes/secrets/files/" in ignored and "infra/compose/secrets/" in ignored
