"""The workspace: one folder that holds artifacts, tracking, reports, downloads and Prefect's home."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from ulmfit.errors import UserError
from ulmfit.store.artifacts import Store
from ulmfit.store.filesystem import absolute, is_remote

DEFAULT = ".ulmfit"


@dataclass(frozen=True)
class Workspace:
    """Where a team keeps what its runs make. Two concurrent runs in one workspace do not harm each other."""

    root: Path
    artifacts: str | None = None  # where the artifacts are, if not in the folder: another, or on S3

    @classmethod
    def open(cls, root: str | Path | None = None, artifacts: str | None = None) -> Self:
        """The workspace at ``root``, else ``ULMFIT_HOME``, else ``.ulmfit``, to work in; made if it is not there.

        Its artifacts are at ``artifacts``, else ``ULMFIT_ARTIFACTS``: a folder or ``s3://BUCKET/FOLDER``; else in its
        folder ``artifacts``. Raises UserError where it, or where its artifacts go, cannot be written.
        """
        workspace = cls.named(root, artifacts)
        for folder in (workspace.root, workspace.reports, workspace.downloads, workspace.mlflow_artifacts, workspace.prefect_home):
            _try_to_write(folder)
        workspace.store.set_up()
        return workspace

    @classmethod
    def named(cls, root: str | Path | None = None, artifacts: str | None = None) -> Self:
        """The same workspace, to read from: nothing is made or written, and it need not be there. UserError where the names cannot be used."""
        named = str(root or os.environ.get("ULMFIT_HOME") or DEFAULT)
        if "://" in named:
            raise UserError(
                f"the workspace {named} is no local folder; give one with --workspace, and a place on S3 for artifacts with --out"
            )
        path = absolute(named)
        if os.path.exists(path) and not path.is_dir():  # which is False for a name that cannot be
            raise UserError(f"the workspace {path} is a file, not a folder; choose another with --workspace")
        try:
            str(path).encode()
        except UnicodeEncodeError as error:  # MLflow's and Prefect's databases hold text
            raise UserError(f"the workspace {str(path)!a} has a name that is no UTF-8; choose another with --workspace") from error
        return cls(path, _artifacts(artifacts or os.environ.get("ULMFIT_ARTIFACTS")))

    @classmethod
    def existing(cls, root: str | Path | None = None) -> Self:
        """The same workspace, to read from. UserError where there is neither its folder nor another place for its artifacts."""
        workspace = cls.named(root)
        if not (workspace.root.exists() or workspace.artifacts):
            raise UserError(f"the workspace {workspace.root} is not there; name another with --workspace")
        return workspace

    @property
    def store(self) -> Store:
        """The store of its artifacts."""
        folder = self.root / "artifacts"
        return Store(self.artifacts or folder, folder)

    @property
    def reports(self) -> Path:
        """A folder per run."""
        return self.root / "reports"

    def report_folder(self, name: str, started: float, run_id: str) -> Path:
        """The folder of the report of a run that ``started`` then (Unix seconds)."""
        return self.reports / f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(started))}-{run_id[:6]}"

    @property
    def suspects(self) -> Path:
        """What ``ulmfit suspects`` found last in a corpus, a file each."""
        return self.root / "suspects"

    @property
    def downloads(self) -> Path:
        """What was fetched, for any run."""
        return self.root / "downloads"

    @property
    def bf16_gain(self) -> Path:
        """What was measured of this machine, see ``ulmfit/compute/precision.py``."""
        return self.root / "bf16-gain.json"

    @property
    def prefect_home(self) -> Path:
        return self.root / "prefect"

    @property
    def prefect_database(self) -> Path:
        return self.prefect_home / "prefect.db"

    @property
    def database(self) -> Path:
        """MLflow's, where the workspace tracks for itself."""
        return self.root / "mlflow.db"

    @property
    def outbox(self) -> Path:
        """What tracking servers are still to be told, see ``tasks/outbox.py``."""
        return self.root / "outbox"

    @property
    def tracking_uri(self) -> str:
        """``MLFLOW_TRACKING_URI`` where it is set, else the workspace's own SQLite store."""
        return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_address(self.database)

    @property
    def tracks_itself(self) -> bool:
        """Whether runs and models are in its own SQLite store, not in another or on a server."""
        return self.tracking_uri == sqlite_address(self.database)

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow-artifacts"


def sqlite_address(file: Path, driver: str = "pysqlite") -> str:
    """The address of a SQLite database for SQLAlchemy below 2.1, by name of its ``driver``.

    SQLAlchemy ends a path at a ``?``, so such a path is written as SQLite's own kind of URI. The driver is named then, for MLflow makes
    the folder of what follows ``sqlite:///`` as it stands.
    """
    path = str(file)
    if not set(path) & set("?%#"):
        return f"sqlite:///{path}" if driver == "pysqlite" else f"sqlite+{driver}:///{path}"
    return f"sqlite+{driver}:///file:{quote(path)}?uri=true"


def _try_to_write(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"the workspace cannot be written: {folder}: {error.strerror}; choose another with --workspace") from error


def _artifacts(location: str | None) -> str | None:
    """The location that the user names for the artifacts, in full."""
    if not location or is_remote(location):
        return location or None
    if ":/" in location:
        raise UserError(f"{location}: artifacts are kept in a folder or on S3; write a path or s3://BUCKET/FOLDER")
    return str(absolute(location))
