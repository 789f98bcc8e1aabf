"""Questions to the servers that a run needs, asked before work begins: does each answer, within seconds, as what it should be?

``ulmfit doctor`` asks the same. Each question raises UserError with the remedy.
"""

import logging
import math
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow import environment_variables
from mlflow.environment_variables import _EnvironmentVariable
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.db.db_types import DATABASE_ENGINES, SQLITE
from mlflow.store.db.utils import _get_alembic_config, _get_latest_schema_revision, _get_schema_version
from mlflow.tracking._tracking_service.utils import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from tasks.workspace import Workspace
from ulmfit.errors import RunFailed, UserError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PATIENCE = 10  # seconds for an answer
WAIT, LONGEST_WAIT = (
    "ULMFIT_TRACKING_WAIT",
    300.0,
)  # seconds for an MLflow that went away in the middle of work; the variable says otherwise
LEAST_MLFLOW = 3  # major version of a server: older ones know no logged models
TRACKING, ORCHESTRATOR = "MLFLOW_TRACKING_URI", "PREFECT_API_URL"  # variables


def check_tracking(workspace: Workspace) -> None:
    """UserError where runs cannot be tracked: no MLflow server answers, or the database is none that this MLflow can use."""
    _check_variables()
    uri = workspace.tracking_uri
    named, kind = f"{TRACKING}={without_password(uri)}", uri.partition(":")[0].strip().lower().split("+")[0]
    if kind in ("http", "https"):
        _in_time(named, lambda: _check_mlflow(uri, named))
    elif kind in DATABASE_ENGINES:
        _check_database(workspace, _database(uri, named))
    else:
        raise UserError(
            f"{named}: runs cannot be tracked there; give the address of an MLflow server (http://...) or of a database (sqlite:///FILE, postgresql://...), "
            "or unset it to track in the workspace"
        )


def _check_variables() -> None:
    """UserError for a variable that cannot be read; that would be said in the middle of work."""
    longest_wait()
    for variable in vars(environment_variables).values():
        if isinstance(variable, _EnvironmentVariable) and variable.is_set():
            try:
                variable.get()
            except ValueError as error:
                raise UserError(f"{variable.name}={variable.get_raw()}: MLflow cannot read this value; correct it, or unset it") from error


def _in_time(named: str, ask: Callable[[], None]) -> None:
    """Ask in a thread, for a server that sends a byte now and then passes the timeouts of libraries. UserError after twice ``PATIENCE``."""
    failed: list[Exception] = []

    def asked() -> None:
        try:
            ask()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=asked, daemon=True)
    thread.start()
    thread.join(2 * PATIENCE)
    if thread.is_alive():
        raise UserError(f"{named}: what answers there does not come to an end; look at the server, correct the address, or unset it")
    if failed:
        raise failed[0]


def _check_mlflow(uri: str, named: str) -> None:
    ask = lambda path: http_request(
        get_default_host_creds(uri), path, "GET", max_retries=0, retry_codes=(), timeout=PATIENCE, params={"max_results": 1}
    )
    try:
        answer = ask("/api/2.0/mlflow/experiments/search")
        judge_answer(
            f"{named}", "MLflow", answer.status_code, "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
        found = answer.json()
        if not isinstance(found, dict) or found.keys() - {"experiments", "next_page_token"}:
            raise ValueError(f"a JSON {type(found).__name__}")
        version = ask("/version")
    except MlflowException as error:
        raise UserError(f"{named}: no MLflow server answers there ({cause(error)}); start it, correct the address, or unset it") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{named}: what answers there is no MLflow server; correct the address, or unset it") from error
    if version.ok and re.fullmatch(r"[\d.]+\w*", version.text) and int(version.text.split(".")[0]) < LEAST_MLFLOW:
        raise UserError(f"{named}: the server runs MLflow {version.text}; version {LEAST_MLFLOW} or later is needed")


def judge_answer(named: str, server: str, status: int, credentials: str) -> None:
    """UserError where the status of an HTTP answer shows that the server will not serve. ``credentials``: the variables for them."""
    if status < 400:
        return
    answer = f"{named}: it answers with HTTP {status}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        raise UserError(f"{answer}, access denied; set {credentials}")
    if status >= 500:
        raise UserError(f"{answer}; look at the log of the {server} server or of the proxy before it, and try again")
    raise UserError(f"{answer}, so there is no {server} server at this address; correct it, or unset it")


def _database(uri: str, named: str) -> URL:
    try:
        return make_url(uri)
    except (SQLAlchemyError, ValueError) as error:
        raise UserError(f"{named}: no address of a database; write sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME") from error


def _check_database(workspace: Workspace, url: URL) -> None:
    """A database that is not there yet is made by the first run, if it is SQLite's."""
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == SQLITE:
        file = workspace.database if workspace.tracks_itself else Path(url.database or "")
        if not url.database or url.database == ":memory:" or file.is_dir():
            raise UserError(f"{shown}: no database that lasts; give a file, as in sqlite:////FOLDER/mlflow.db")
        if not file.exists():
            return
    found, latest = _schema(url, shown), _get_latest_schema_revision()
    if found not in (None, latest) and os.access(workspace.store.local, os.W_OK):
        with workspace.store.lock("tracking"):  # another run may just be making it
            found = _schema(url, shown)
    if found in (None, latest):
        return
    if _known(found):
        upgrade = f"mlflow db upgrade '{shown}'"
        raise UserError(f"{shown}: a database of an earlier MLflow; make a copy of it, then run: {upgrade}")
    raise UserError(
        f"{shown}: its schema {found} is that of a later MLflow, or of another program; upgrade MLflow, or name another database"
    )


def _schema(url: URL, shown: str) -> str | None:
    """The revision of the database's schema, None where it has none yet."""
    patience = {"connect_timeout": PATIENCE} if url.get_backend_name() in ("postgresql", "mysql") else {}
    try:
        return _get_schema_version(create_engine(url, poolclass=NullPool, connect_args=patience))
    except ImportError as error:
        raise UserError(f"{shown}: {error}; install it, or name another driver, as in postgresql+psycopg2://") from error
    except (SQLAlchemyError, TypeError) as error:  # TypeError: of a driver for asyncio
        raise UserError(f"{shown}: the database cannot be opened ({cause(error)}); start or repair it, or name another") from error


def _known(revision: str | None) -> bool:
    try:
        return ScriptDirectory.from_config(_get_alembic_config("")).get_revision(str(revision)) is not None
    except CommandError:
        return False


def check_orchestrator(url: str) -> None:
    """UserError where the Prefect server of ``PREFECT_API_URL`` does not answer. Prefect's settings are read when it is first imported."""
    import prefect.client.orchestration  # noqa: F401 - which takes seconds, that are not the server's

    _in_time(f"{ORCHESTRATOR}={without_password(url)}", lambda: _check_prefect(url))


def _check_prefect(url: str) -> None:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    named = f"{ORCHESTRATOR}={without_password(url)}"
    brief = httpx.Timeout(PATIENCE, connect=PATIENCE / 5)  # Prefect connects four times
    try:
        with (
            temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings={"timeout": brief}) as client,
        ):
            client.read_flows(limit=1)
    except PrefectHTTPStatusError as error:
        judge_answer(named, "Prefect", error.response.status_code, "PREFECT_API_KEY or PREFECT_API_AUTH_STRING")
        raise
    except (httpx.HTTPError, OSError) as error:  # OSError: of a file of certificates
        raise UserError(f"{named}: no Prefect server answers there ({cause(error)}); start it, correct the address, or unset it") from error
    except (ValueError, TypeError, httpx.InvalidURL) as error:
        raise UserError(
            f"{named}: what answers there is no Prefect server; its address ends in /api, as http://HOST:4200/api; correct it, or unset it"
        ) from error


def away(error: MlflowException) -> bool:
    """Whether MLflow was not there, or did not serve for a while, so that the same call may work later."""
    passing = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    status = error.get_http_status_code()
    if isinstance(error, RestException):  # it answered
        return status in (*passing, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
    return status in passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def longest_wait() -> float:
    """How many seconds a run waits for an MLflow that went away, to register and at its end. UserError where the variable is no such number."""
    given = os.environ.get(WAIT)
    try:
        seconds = LONGEST_WAIT if given is None else float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise UserError(f"{WAIT}={given}: give a number of seconds, as 300, or unset it")
    return seconds


def patiently(workspace: Workspace, work: Callable[[], Result]) -> Result:
    """``work()``, which may be done twice, again and again while MLflow is away, for ``longest_wait`` seconds."""

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "MLflow at %s does not answer (%s); trying again", without_password(workspace.tracking_uri), cause(error or Exception())
        )

    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, MlflowException) and away(error)),
        wait=wait_exponential(0.5, max=15),
        stop=stop_after_delay(longest_wait()),
        before_sleep=note,
        reraise=True,
    )
    return retrying(work)


@contextmanager
def server_failures(workspace: Workspace) -> Iterator[None]:
    """An error by which MLflow refuses or is lost in the middle of work becomes RunFailed, in one line."""
    try:
        yield
    except MlflowException as error:
        where = without_password(workspace.tracking_uri)
        raise RunFailed(
            f"MLflow at {where} failed ({cause(error)}); see ulmfit doctor, then run the same command again: finished stages are kept"
        ) from error


def without_password(uri: str) -> str:
    """An address for people to read."""
    return re.sub(r"//[^/@\s]*@", "//***@", uri)


def cause(error: BaseException) -> str:
    """The innermost cause of an error, in at most 200 letters."""
    seen: list[BaseException] = []
    deeper: BaseException | None = error
    while deeper is not None and deeper not in seen:
        seen.append(deeper)
        deeper = deeper.__cause__ or deeper.__context__
    inner = seen[-1]
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())[:200]
