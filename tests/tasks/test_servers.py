"""Servers that do not answer, or are none: one line with a remedy, within seconds and before any work."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import dask
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prefect.settings import PREFECT_API_SSL_CERT_FILE, temporary_settings

from flows.plan import resolve
from flows.request import PreprocessRequest
from tasks import cluster, servers
from tasks.cluster import check_scheduler
from tasks.registry import resolve as resolve_version
from tasks.servers import check_orchestrator, check_tracking, server_failures, without_password
from tasks.tracking import Tracker, deleted_experiments
from tasks.workspace import Workspace
from ulmfit.errors import RunFailed, UserError

NOBODY = "127.0.0.1:9"

Serve = Callable[..., str]


class _Answers(BaseHTTPRequestHandler):
    """Gives every request the same answer."""

    def __init__(self, status: int, body: bytes, version: bytes, *arguments: object):
        self.status, self.body, self.version = status, body, version
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        body = self.version if self.path.startswith("/version") else self.body
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a small web server that gives every request the same answer; its host and port."""
    started: list[ThreadingHTTPServer] = []

    def start(status: int = 200, body: bytes = b"", version: bytes = b"") -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answers, status, body, version))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def dripping() -> Iterator[str]:
    """A web server that sends a byte of its answer now and then, for ever."""

    class Drips(_Answers):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.1)

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Drips, 200, b"", b""))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.socket.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def known(tracked: Path, tmp_path: Path) -> Workspace:
    """A workspace with a database."""
    shutil.copytree(tracked, tmp_path / "workspace")
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 1)
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # which would answer for those who do not
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    """What is said of an ``MLFLOW_TRACKING_URI``."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError) as caught:
        check_tracking(workspace)
    return str(caught.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"http://{NOBODY}", "no MLflow server answers there (Connection refused)"),
        ("http://nowhere.invalid:5000", "no MLflow server answers there"),
        ("http://127.0.0.1:99999", "no MLflow server answers there"),
        ("http://", "no MLflow server answers there"),
        ("http://[::1", "no MLflow server"),
        (" HTTP://127.0.0.1:9", "no MLflow server"),
        ("databricks", "give the address of an MLflow server"),
        ("/tmp", "give the address of an MLflow server"),
        ("mlruns", "give the address of an MLflow server"),
        ("file:///tmp", "give the address of an MLflow server"),
        ("s3://bucket", "give the address of an MLflow server"),
        ("localhost:5000", "give the address of an MLflow server"),
        ("sqlite:////tmp", "give a file"),
        ("sqlite://", "give a file"),
        ("sqlite:////etc/hostname", "file is not a database"),
        ("postgresql:/x", "no address of a database"),
        (f"postgresql+psycopg2://me:secret@{NOBODY}/runs", "Connection refused"),
        ("mysql+nodriver://host/runs", "cannot be opened"),
    ],
)
def test_what_cannot_track_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, uri: str, said: str) -> None:
    told = refused(workspace, monkeypatch, uri)
    assert said in told and "secret" not in told and "; " in told and "\n" not in told


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "MLFLOW_TRACKING_TOKEN"),
        (403, b"", "access denied"),
        (404, b"", "HTTP 404, so there is no MLflow server"),
        (500, b"", "look at the log"),
        (503, b"", "look at the log"),
        (200, b"<html>", "is no MLflow server"),
        (200, b"[1]", "is no MLflow server"),
        (200, b'{"workspaces": []}', "is no MLflow server"),
    ],
)
def test_a_web_server_that_is_no_mlflow(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, serve: Serve, status: int, body: bytes, said: str
) -> None:
    assert said in refused(workspace, monkeypatch, f"http://{serve(status, body)}")


def test_mlflow_silent_speaking_plain_text_or_too_old(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, serve: Serve, silent: str
) -> None:
    assert "timed out" in refused(workspace, monkeypatch, f"http://{silent}")
    assert "SSL" in refused(workspace, monkeypatch, f"https://{serve()}")
    found = b'{"experiments": []}'
    assert "MLflow 2.9.1; version 3" in refused(workspace, monkeypatch, f"http://{serve(200, found, b'2.9.1')}")
    for version in (b"3.17.0", b"<html>"):  # the last: of a gateway that leads to the API alone
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{serve(200, found, version)}")
        check_tracking(workspace)


@pytest.mark.parametrize(
    ("revision", "said"),
    [("451aebb31d03", "of an earlier MLflow; make a copy of it, then run: mlflow db upgrade"), ("fedcba987654", "of a later MLflow")],
)
def test_a_database_of_another_schema(workspace: Workspace, revision: str, said: str) -> None:
    with closing(sqlite3.connect(workspace.database)) as connection, connection:
        connection.execute("create table alembic_version (version_num varchar(32))")
        connection.execute("insert into alembic_version values (?)", (revision,))
    before = workspace.database.read_bytes()
    with pytest.raises(UserError, match=said):
        check_tracking(workspace)
    with pytest.raises(UserError, match=said):  # predict and lineage ask too
        resolve_version(workspace, "models:/any@champion")
    assert workspace.database.read_bytes() == before


def test_to_ask_makes_no_database(workspace: Workspace) -> None:
    check_tracking(workspace)
    assert not workspace.database.exists()


def test_a_deleted_experiment_is_told_with_its_remedy(known: Workspace) -> None:
    tracker = Tracker.open(known, "ulmfit-tickets")
    check_tracking(known)
    assert deleted_experiments(known) == []
    MlflowClient(tracker.uri).delete_experiment(tracker.experiment_id)
    remedy = f"mlflow experiments restore -x {tracker.experiment_id}"
    with pytest.raises(UserError, match=f"ulmfit-tickets was deleted; .*{remedy}"):
        Tracker.open(known, "ulmfit-tickets")
    assert [remedy in how for _, how in deleted_experiments(known)] == [True]
    assert Tracker.open(known, "ulmfit-others").experiment_id != tracker.experiment_id


def test_a_version_that_is_gone(known: Workspace) -> None:
    client = MlflowClient(known.tracking_uri)
    client.create_registered_model("gone")
    client.delete_registered_model("gone")
    client.create_registered_model("it")
    for uri in ("models:/gone@champion", "models:/gone/1", "models:/gone", "models:/it@nobody", "models:/it/7", "models:/it/latest"):
        with pytest.raises(UserError, match=r"no such registered version; .*models there are: it"):
            resolve_version(known, uri)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"http://me:secret@{NOBODY}/api", "no Prefect server answers there (Connection refused)"),
        ("localhost:4200", "unsupported protocol"),
        ("/tmp", "protocol"),
    ],
)
def test_prefect_that_does_not_answer(url: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_orchestrator(url)
    assert str(caught.value).startswith(f"PREFECT_API_URL={without_password(url)}: ") and said in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "PREFECT_API_KEY"),
        (404, b"", "HTTP 404, so there is no Prefect server"),
        (500, b"", "look at the log"),
        (200, b"<html>", "ends in /api"),
        (200, b"{}", "ends in /api"),
    ],
)
def test_a_web_server_that_is_no_prefect(serve: Serve, status: int, body: bytes, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_orchestrator(f"http://{serve(status, body)}/api")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "abc"), ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon"), ("MLFLOW_TRACKING_INSECURE_TLS", "maybe")],
)
def test_a_variable_that_mlflow_cannot_read(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"^{name}={value}: MLflow cannot read this value"):
        check_tracking(workspace)


def test_a_file_of_certificates_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with temporary_settings({PREFECT_API_SSL_CERT_FILE: str(tmp_path)}), pytest.raises(UserError, match="no Prefect server answers there"):
        check_orchestrator(f"https://{NOBODY}/api")


def test_an_answer_that_does_not_end(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, dripping: str) -> None:
    assert "does not come to an end" in refused(workspace, monkeypatch, f"http://{dripping}")
    with pytest.raises(UserError, match=r"PREFECT_API_URL=.*does not come to an end"):
        check_orchestrator(f"http://{dripping}/api")


def test_prefect_silent(silent: str) -> None:
    with pytest.raises(UserError, match="timed out"):
        check_orchestrator(f"http://{silent}/api")


@pytest.mark.parametrize(
    "address", [f"tcp://{NOBODY}", "tcp://", "http://127.0.0.1", "tls://127.0.0.1:9", "tcp://127.0.0.1:99999", "-1", "²"]
)
def test_dask_that_does_not_answer(address: str) -> None:
    with pytest.raises(UserError, match="no Dask scheduler answers there; start one, or give a number"):
        check_scheduler(address)


def test_dask_silent_or_another_server(silent: str, serve: Serve) -> None:
    for address in (silent, serve()):
        with pytest.raises(UserError, match="no Dask scheduler answers there"):
            check_scheduler(f"tcp://{address}")


def test_own_workers_have_our_settings_of_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the user's files and variables may load code that is not here."""
    found = []

    def local_cluster(**_: object) -> SimpleNamespace:
        found.append(dask.config.get("distributed.worker.preload"))
        return SimpleNamespace(dashboard_link="")

    monkeypatch.setattr(cluster, "LocalCluster", local_cluster)
    monkeypatch.setattr(cluster, "Client", lambda _: None)
    with dask.config.set({"distributed.worker.preload": ["nowhere"]}):
        cluster.Cluster("1").client()
    assert found == [[]]


@pytest.mark.parametrize(("variable", "scheduler", "said"), [(f"http://{NOBODY}", None, "MLflow"), ("", f"tcp://{NOBODY}", "Dask")])
def test_a_run_asks_before_it_does_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, scheduler: str | None, said: str
) -> None:
    """Also where every stage would be found."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    (tmp_path / "corpus.csv").write_text("text\none\ntwo\n")
    with pytest.raises(UserError, match=f"no {said}"):
        resolve(PreprocessRequest(corpus=str(tmp_path / "corpus.csv"), workspace=str(tmp_path / "workspace"), dask=scheduler))
    assert not list(Workspace.named(tmp_path / "workspace").store.all())


def test_a_server_lost_in_the_middle_is_one_line(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host")
    with (
        pytest.raises(RunFailed, match=r"MLflow at http://\*\*\*@host failed \(gone\); .* finished stages are kept"),
        server_failures(workspace),
    ):
        raise MlflowException("gone")
