"""The folder of a stack: its settings, where what lies, and the addresses of its services."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.local.files import write_private
from ulmfit.errors import UserError

ROOT = Path(__file__).parent.parent.parent
PORTS = ("postgres", "s3", "mlflow", "prefect", "dask", "dask-http", "dashboard")  # in this order, from the first port on
BUCKET = "ulmfit"
LONGEST_SOCKET = 100  # bytes of the path of the supervisor's socket, which Linux limits to 107


class Settings(BaseModel):
    """What is chosen when a stack is first started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(7300, ge=1024, le=65000)  # of the first service
    dask_workers: int = Field(2, ge=1, le=1024)
    postgres: str | None = None  # USER@HOST:PORT of a server that is there already; its user may make roles and databases


@dataclass(frozen=True)
class Stack:
    """A folder and its settings."""

    folder: Path
    settings: Settings

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The stack in ``folder``. UserError where there is none."""
        file = folder.absolute() / "settings.json"
        try:
            return cls(folder.absolute(), Settings.model_validate_json(file.read_bytes()))
        except FileNotFoundError as error:
            raise UserError(f"{folder}: no stack is there; start one with: make stack") from error
        except ValidationError as error:
            raise UserError(f"{file}: cannot be read ({error.errors()[0]['msg']}); correct it") from error

    def save(self) -> None:
        """Make the folder and keep the settings in it."""
        if len(str(self.supervisor / "socket").encode()) > LONGEST_SOCKET:
            raise UserError(f"{self.folder}: the path is too long for a socket; choose a shorter one, as STACK=/srv/stack")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)  # PostgreSQL's own user passes through it; what is in it is closed to others
        for folder in (self.secrets, self.supervisor, self.logs, self.workspace, self.buckets / BUCKET, self.prefect_home, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        (self.folder / "s3").chmod(0o700)
        write_private(self.folder / "settings.json", self.settings.model_dump_json(indent=2))

    def port(self, service: str) -> int:
        """The port on which a service listens."""
        return self.settings.port + PORTS.index(service)

    def url(self, service: str) -> str:
        """The address of a service that speaks HTTP."""
        return f"http://{self.host}:{self.port(service)}"

    @property
    def host(self) -> str:
        """Where all services listen."""
        return self.settings.host

    @property
    def dask(self) -> str:
        """The address of Dask's scheduler."""
        return f"tls://{self.host}:{self.port('dask')}"

    @cached_property
    def database_server(self) -> tuple[str, str, int]:
        """User, host and port of PostgreSQL."""
        if not (given := self.settings.postgres):
            return "ulmfit", self.host, self.port("postgres")
        user, _, place = given.rpartition("@")
        host, _, port = place.rpartition(":")
        if not (user and host and port.isdecimal()):
            raise UserError(f"{given}: no address of a PostgreSQL server; write USER@HOST:PORT, with the password in PGPASSWORD")
        return user, host.strip("[]"), int(port)

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def passwords(self) -> Path:
        """PostgreSQL's passwords, as its clients read them (PGPASSFILE)."""
        return self.secrets / "pgpass"

    @property
    def environment_file(self) -> Path:
        return self.folder / "env"

    @property
    def supervisor(self) -> Path:
        return self.folder / "supervisor"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def data(self) -> Path:
        """Of PostgreSQL."""
        return self.folder / "postgres"

    @property
    def buckets(self) -> Path:
        """Of the S3 server: a folder each."""
        return self.folder / "s3" / "buckets"

    @property
    def prefect_home(self) -> Path:
        return self.folder / "prefect"

    @property
    def workspace(self) -> Path:
        """Of ``ulmfit``: locks, unfinished stages, fetched copies, the outbox, reports."""
        return self.folder / "workspace"

    @property
    def scratch(self) -> Path:
        """Where services run, and what need not be kept."""
        return self.folder / "scratch"
