"""Who is let in: every port that listens is known here, listens on the loopback interface alone, and refuses wrong and missing credentials."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import stat
import subprocess
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg2
import pytest
from botocore.exceptions import ClientError

from infra.local import postgres, supervision
from infra.local.credentials import ADMIN, Credentials, make_certificate
from infra.local.health import DIRECT, ask_prefect, dask_context
from infra.local.stack import PORTS, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

MLFLOW_PAGES = (
    "/",
    "/version",
    "/graphql",
    "/signup",
    "/metrics",
    "/api/2.0/mlflow/experiments/search?max_results=1",
    "/ajax-api/2.0/mlflow/experiments/search?max_results=1",
    "/api/2.0/mlflow/registered-models/search",
    "/api/2.0/mlflow/users/get?username=admin",
    "/api/2.0/mlflow-artifacts/artifacts?path=",
    "/api/2.0/mlflow-artifacts/artifacts/0/secret",
    "/get-artifact?path=x&run_uuid=y",
    "/model-versions/get-artifact?path=x&name=y&version=1",
    "/api/3.0/mlflow/traces/search",
    "/v1/traces",
    "/gateway/x/mlflow/invocations",
)


def listening(stack: Stack) -> dict[int, str]:
    """The ports on which processes of the stack listen, and the addresses."""
    found = {}
    for process in supervision.processes(stack):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                found[connection.laddr.port] = connection.laddr.ip
    return found


def status(url: str, user: str | None = None, password: str = "", data: bytes | None = None, **headers: str) -> int:
    """Of an answer over HTTP."""
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    try:
        with DIRECT.open(urllib.request.Request(url, data, headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_all_ports_are_known_and_on_the_loopback_interface(stack: Stack) -> None:
    found = listening(stack)
    assert set(found.values()) <= {"127.0.0.1", "::1"}
    named = {stack.port(name) for name in PORTS}
    assert named <= found.keys(), "psutil sees them all"
    for port in found.keys() - named:  # Dask's workers, their nannies, their HTTP; what Prefect's workers tell flows
        assert refuses_dask(stack, port) or serves_nothing(port) or hangs_up(port), port


def test_postgresql(stack: Stack) -> None:
    _, host, port = stack.database_server
    for user in ("ulmfit", "ulmfit_mlflow", "ulmfit_prefect", "postgres"):
        for password in ("wrong", ""):
            with pytest.raises(psycopg2.OperationalError, match=r"authentication failed|no password supplied"):
                psycopg2.connect(host=host, port=port, dbname="postgres", user=user, password=password, passfile="/dev/null")
    with postgres.connected(stack, postgres.MLFLOW, postgres.MLFLOW) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_s3(stack: Stack) -> None:
    right = Credentials.read(stack)
    for key, secret in ((right.s3_key, "w" * 40), ("W" * 20, right.s3_secret), ("W" * 20, "w" * 40)):
        client = boto3.client(
            "s3", endpoint_url=stack.url("s3"), region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )
        for ask in (
            client.list_buckets,
            lambda client=client: client.list_objects_v2(Bucket="ulmfit"),
            lambda client=client: client.put_object(Bucket="ulmfit", Key="intruder", Body=b"x"),
        ):
            with pytest.raises(ClientError) as refused:
                ask()
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    for path in ("", "/ulmfit", "/ulmfit/artifacts", "/ulmfit?list-type=2"):
        assert status(stack.url("s3") + path) in (400, 403), path
    assert not (stack.buckets / "ulmfit" / "intruder").exists()


def test_mlflow(stack: Stack) -> None:
    password = Credentials.read(stack).mlflow
    for page in MLFLOW_PAGES:
        for user, given in ((None, ""), (ADMIN, "wrong"), ("nobody", password), (ADMIN, "")):
            for data in (None, b"{}"):
                found = status(stack.url("mlflow") + page, user, given, data, **{"Content-Type": "application/json"})
                assert found in (401, 403, 404, 405), (page, user, data, found)
    assert status(stack.url("mlflow") + MLFLOW_PAGES[5], ADMIN, password) == 200


def test_prefect(stack: Stack) -> None:
    right = Credentials.read(stack)
    api = f"{stack.url('prefect')}/api"
    described = json.loads(DIRECT.open(_as_ulmfit(f"{stack.url('prefect')}/openapi.json", right.prefect), timeout=30).read())
    asked = 0
    for path, methods in described["paths"].items():
        filled = path.replace("{", "").replace("}", "")
        full = stack.url("prefect") + (filled if filled.startswith("/api") else f"/api{filled}")
        if filled.removeprefix("/api") in ("/health", "/ready") or ("get" not in methods and "post" not in methods):
            continue
        data = b"{}" if "post" in methods else None
        for user, password in ((None, ""), ("ulmfit", "wrong"), ("nobody", right.prefect.partition(":")[2])):
            assert status(full, user, password, data, **{"Content-Type": "application/json"}) == 401, path
        asked += 1
    assert asked > 100
    assert status(f"{api}/admin/settings", *right.prefect.split(":")) == 200
    for path in ("events/in", "events/out", "logs/out"):
        for token in (None, "wrong"):
            assert not asyncio.run(let_in(f"ws://{stack.host}:{stack.port('prefect')}/api/{path}", token)), path
    assert asyncio.run(let_in(f"ws://{stack.host}:{stack.port('prefect')}/api/events/in", right.prefect))


def _as_ulmfit(url: str, both: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"Authorization": "Basic " + base64.b64encode(both.encode()).decode()})


async def let_in(url: str, token: str | None) -> bool:
    """Whether a socket of Prefect's takes this token; None: the way of old clients, which give none."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException
    from websockets.typing import Subprotocol

    try:
        async with connect(url, subprotocols=[Subprotocol("prefect")] if token else None, proxy=None) as channel:
            if token is None:
                await channel.send("{}")
            else:
                await channel.send(json.dumps({"type": "auth", "token": token}))
            answer: Any = json.loads(await asyncio.wait_for(channel.recv(), 20))
            return answer.get("type") == "auth_success"
    except (WebSocketException, OSError):
        return False


def refuses_dask(stack: Stack, port: int) -> bool:
    """Whether what listens there speaks TLS, takes our certificate, and takes no other, and none at all."""
    if not takes(dask_context(stack), stack.host, port):
        return False
    none = ssl.create_default_context()
    other = ssl.create_default_context()
    for context in (none, other):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    folder = stack.scratch
    make_certificate(folder / "other.pem", folder / "other-key.pem")
    other.load_cert_chain(folder / "other.pem", folder / "other-key.pem")
    with socket.create_connection((stack.host, port), timeout=10) as plain:
        plain.sendall(b"\0" * 64)
        plain.settimeout(10)
        try:
            said = plain.recv(100)
        except OSError:
            said = b""
    alert = said[:1] in (b"", b"\x15")  # nothing, or an alert of TLS
    return alert and not takes(none, stack.host, port) and not takes(other, stack.host, port)


def takes(context: ssl.SSLContext, host: str, port: int) -> bool:
    """Whether a greeting of Dask's comes after the handshake."""
    try:
        with socket.create_connection((host, port), timeout=10) as plain, context.wrap_socket(plain) as channel:
            return bool(channel.recv(1))
    except (OSError, ssl.SSLError):
        return False


def serves_nothing(port: int) -> bool:
    """Whether HTTP answers 404 to all that Dask serves otherwise."""
    paths = (
        "/",
        "/status",
        "/info/main/workers.html",
        "/metrics",
        "/health",
        "/json/counts.json",
        "/sysmon",
        "/individual-plots.json",
        "/proxy/1/x",
    )
    try:
        return {status(f"http://127.0.0.1:{port}{path}") for path in paths} == {404}
    except (OSError, HTTPException):
        return False


def hangs_up(port: int) -> bool:
    """Whether who has no token is told nothing."""
    for said in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 64 + b"\n", b'{"token": "wrong"}\n'):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as channel:
            channel.sendall(said)
            try:
                if channel.recv(100):
                    return False
            except ConnectionError:
                continue
    return True


def test_dask(stack: Stack) -> None:
    assert refuses_dask(stack, stack.port("dask")) and serves_nothing(stack.port("dask-http"))
    workers = [process for process in supervision.processes(stack) if "dask_worker" in " ".join(process.cmdline())]
    assert workers


def test_the_dashboard(stack: Stack) -> None:
    token = Credentials.read(stack).dashboard
    for path in ("/", "/api/v1/models", "/metrics", "/runs", "/static/htmx.min.js", "/feed"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
            assert status(stack.url("dashboard") + path, **headers) == 401, path
    assert status(stack.url("dashboard") + "/", Authorization=f"Bearer {token}") == 200


def test_the_supervisor_and_the_folders(stack: Stack) -> None:
    assert stat.S_IMODE((stack.supervisor / "socket").stat().st_mode) == 0o700
    for folder in (stack.secrets, stack.supervisor, stack.logs, stack.buckets.parent, stack.workspace, stack.prefect_home):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_a_secret_is_nowhere_but_where_it_belongs(stack: Stack, tmp_path: Path) -> None:
    """Byte by byte: in logs, files of all services, databases as text, command lines, what Prefect and MLflow tell, and pages."""
    secrets = [value.rpartition(":")[2].encode() for value in Credentials.read(stack).model_dump().values()]
    secrets += [base64.b64encode(value) for value in secrets]
    key = (stack.secrets / "dask-key.pem").read_bytes().splitlines()[1]
    secrets.append(key)
    looked, leaks = 0, []
    for file in stack.folder.rglob("*"):
        if file.is_file() and stack.secrets not in file.parents and file != stack.environment_file:
            content = file.read_bytes()
            looked += len(content)
            leaks += [str(file) for secret in secrets if secret in content]
    for database in postgres.DATABASES:
        dump = tmp_path / f"{database}.sql"
        admin, host, port = stack.database_server
        command = [postgres.binaries() / "pg_dump", "-h", host, "-p", str(port), "-U", admin, "-w", "-f", dump, database]
        subprocess.run(command, env={**os.environ, "PGPASSFILE": str(stack.passwords)}, check=True)
        leaks += [database for secret in secrets if secret in dump.read_bytes()]
    for process in psutil.process_iter(["cmdline"]):
        leaks += [str(process) for secret in secrets if secret in " ".join(process.info["cmdline"] or ()).encode()]
    runs = ask_prefect(stack, Credentials.read(stack), "flow_runs/filter", {})
    settings = ask_prefect(stack, Credentials.read(stack), "admin/settings")
    told = json.dumps([runs, settings]).encode()
    leaks += ["Prefect" for secret in secrets if secret in told]
    token = Credentials.read(stack).dashboard
    for path in ("/", "/metrics"):
        request = urllib.request.Request(stack.url("dashboard") + path, headers={"Authorization": f"Bearer {token}"})
        page = DIRECT.open(request, timeout=30).read()
        leaks += [path for secret in secrets if secret in page]
    assert leaks == [] and looked > 1e6
