"""The workspace: one folder that holds artifacts, tracking, reports, downloads and Prefect's home."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ulmfit.artifacts import Store
from ulmfit.errors import UserError

DEFAULT = ".ulmfit"


@dataclass(frozen=True)
class Workspace:
    """Where a team keeps what its runs make. Two concurrent runs in one workspace do not harm each other."""

    root: Path

    @classmethod
    def open(cls, root: str | Path | None = None) -> Workspace:
        """The workspace at ``root``, else ``ULMFIT_HOME``, else ``.ulmfit``; made if it is not there.

        Raises UserError where it cannot be written.
        """
        path = Path(root or os.environ.get("ULMFIT_HOME") or DEFAULT).expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise UserError(f"the workspace {path} is a file, not a folder; choose another with --workspace")
        workspace = cls(path)
        workspace.store.set_up()
        return workspace

    @property
    def store(self) -> Store:
        return Store(self.root / "artifacts")

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def downloads(self) -> Path:
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
