"""Whether a service answers. Each check raises an error of Python's with the reason where it does not."""

import base64
import json
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from infra.local.credentials import Credentials, tls_files
from infra.local.postgres import connected
from infra.local.stack import Stack
from ulmfit.store.json import JsonObject

PATIENCE = 5.0  # seconds for an answer
LEAST_ROOM = 16 << 20  # bytes
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def postgres_answers(stack: Stack, database: str = "postgres", user: str | None = None) -> None:
    """A statement is answered."""
    with connected(stack, database, user) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def s3_answers(stack: Stack) -> None:
    """The S3 server refuses a question that is not signed, and has room: without any it answers, and fails at the first object."""
    try:
        DIRECT.open(stack.url("s3"), timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        if error.code not in (400, 403):
            raise
    else:
        raise PermissionError("it answers without a key")
    check_room(stack.buckets)


def mlflow_answers(stack: Stack) -> None:
    """MLflow says that it is well."""
    DIRECT.open(f"{stack.url('mlflow')}/health", timeout=PATIENCE).close()


def prefect_answers(stack: Stack) -> None:
    """Prefect's server reaches its database."""
    DIRECT.open(f"{stack.url('prefect')}/api/ready", timeout=PATIENCE).close()


def worker_answers(stack: Stack, credentials: Credentials, pool: str) -> None:
    """A worker of the pool has given a sign of life."""
    workers = ask_prefect(stack, credentials, f"work_pools/{pool}/workers/filter", {})
    if not any(worker["status"] == "ONLINE" for worker in workers):
        raise ConnectionError("no worker gives a sign of life")


def ask_prefect(stack: Stack, credentials: Credentials, path: str, body: JsonObject | list[JsonObject] | None = None) -> Any:
    """What Prefect's server answers; a question with a body is a POST."""
    token = base64.b64encode(credentials.prefect.encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{stack.url('prefect')}/api/{path}", data, headers)
    with DIRECT.open(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read() or b"null")


def dask_context(stack: Stack) -> ssl.SSLContext:
    """By which a client of Dask shows that it is one of us."""
    certificate, key = tls_files(stack)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False  # the certificate is the secret; Dask does not look at the name either
    context.load_cert_chain(certificate, key)
    return context


def scheduler_answers(stack: Stack) -> None:
    """The scheduler shows the certificate and takes ours."""
    plain = socket.create_connection((stack.host, stack.port("dask")), timeout=PATIENCE)
    with dask_context(stack).wrap_socket(plain) as channel:
        if not channel.recv(1):
            raise ConnectionError("it hangs up")


def dask_workers(stack: Stack) -> int:
    """How many workers the scheduler has."""
    import asyncio

    from distributed.core import rpc
    from distributed.security import Security

    certificate, key = map(str, tls_files(stack))
    security = Security(tls_ca_file=certificate, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)

    async def ask() -> int:
        async with rpc(stack.dask, connection_args=security.get_connection_args("client")) as scheduler:
            return len((await scheduler.identity())["workers"])

    return asyncio.run(asyncio.wait_for(ask(), PATIENCE))


def workers_answer(stack: Stack) -> None:
    """All of Dask's workers are there."""
    if (count := dask_workers(stack)) < stack.settings.dask_workers:
        raise ConnectionError(f"{count} of {stack.settings.dask_workers} workers are there")


def dashboard_answers(stack: Stack) -> None:
    """The dashboard says that it is well, and the workspace that it shows has room."""
    check_room(stack.workspace)
    DIRECT.open(f"{stack.url('dashboard')}/healthz", timeout=PATIENCE).close()


def check_room(folder: Path) -> None:
    """OSError where the disk of ``folder`` is full, or nearly so."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_ROOM:
        raise OSError(f"the disk of {folder} is full: {free >> 20} MiB are free")
