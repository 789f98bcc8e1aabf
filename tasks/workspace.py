"""The workspace: one folder that holds artifacts, tracking, reports, downloads and Prefect's home."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ulmfit.errors import UserError
from ulmfit.store.artifacts import Store
from ulmfit.store.filesystem import is_remote

DEFAULT = ".ulmfit"


@dataclass(frozen=True)
class Workspace:
    """Where a team keeps what its runs make. Two concurrent runs in one workspace do not harm each other."""

    root: Path
    artifacts: str | None = None  # where the artifacts are, if not in the folder: another, or on S3

    @classmethod
    def open(cls, root: str | Path | None = None, artifacts: str | None = None) -> Self:
        """The workspace at ``root``, else ``ULMFIT_HOME``, else ``.ulmfit``; made if it is not there.

        Its artifacts are at ``artifacts``, else ``ULMFIT_ARTIFACTS``: a folder or ``s3://BUCKET/FOLDER``; else in its
        folder ``artifacts``. Raises UserError where it, or where its artifacts go, cannot be written.
        """
        path = Path(root or os.environ.get("ULMFIT_HOME") or DEFAULT).expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise UserError(f"the workspace {path} is a file, not a folder; choose another with --workspace")
        workspace = cls(path, _artifacts(artifacts or os.environ.get("ULMFIT_ARTIFACTS")))
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"the workspace cannot be written: {path}: {error.strerror}; choose another with --workspace") from error
        workspace.store.set_up()
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

    @property
    def downloads(self) -> Path:
        """What was fetched, for any run."""
        return self.root / "downloads"

    @property
    def prefect_home(self) -> Path:
        return self.root / "prefect"

    @property
    def tracking_uri(self) -> str:
        """``MLFLOW_TRACKING_URI`` where it is set, else the workspace's own SQLite store."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow-artifacts"


def _artifacts(location: str | None) -> str | None:
    """The location that the user names for the artifacts, in full."""
    if not location or is_remote(location):
        return location or None
    if ":/" in location:
        raise UserError(f"{location}: artifacts are kept in a folder or on S3; write a path or s3://BUCKET/FOLDER")
    return str(Path(location).expanduser().absolute())
