"""A workspace that was renamed or copied: the locations in MLflow's database are absolute, and have to follow it.

MLflow has no call for this, so its tables are corrected here. Our own records name files relative to the workspace or by their keys.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tasks.workspace import Workspace
from ulmfit.errors import UserError

LOCATIONS = (  # tables and their columns
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
# MLflow makes this one where the command was started.
DEFAULT_EXPERIMENT = "update experiments set artifact_location = ? where experiment_id = 0 and artifact_location like '%/mlruns/0'"


def settle(workspace: Workspace) -> list[str]:
    """Have all locations in the workspace's own MLflow database name the workspace as it is called now; returns what it was called before.

    A folder that is the same one by another name, as behind a link, is left as it is. UserError for a file that is no database.
    """
    try:
        return [_path(folder) for folder in _settle(workspace, workspace.mlflow_artifacts.as_uri())]
    except sqlite3.OperationalError:  # of the disk, or of another process
        raise
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{workspace.database}: the database cannot be opened ({error}); bring it back from a copy, or name another workspace"
        ) from error


def _settle(workspace: Workspace, new: str) -> list[str]:
    """The locations that were changed to ``new``."""
    with closing(sqlite3.connect(workspace.database, timeout=60)) as connection, connection:
        if not connection.execute("select 1 from sqlite_master where name = 'experiments'").fetchone():
            return []  # MLflow has not set it up yet
        found = connection.execute("select artifact_location from experiments where artifact_location like 'file:///%'")
        folders = {_artifacts_folder(location, workspace) for (location,) in found} - {"", new}
        moved = sorted(folder for folder in folders if not _same(folder, workspace.mlflow_artifacts))
        for old in moved:
            for table, column in LOCATIONS:
                command = f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?"
                connection.execute(command, (new, len(old) + 1, len(old) + 1, f"{old}/"))
        connection.execute(DEFAULT_EXPERIMENT, (f"{new}/0",))
    return moved


def here(workspace: Workspace, location: str) -> Path:
    """The file or folder at ``location``, a ``file:`` URI in the workspace's MLflow database, which may still name where the workspace was."""
    folder = _artifacts_folder(location, workspace)
    return Path(_path(location)) if not folder else workspace.mlflow_artifacts / _path(location)[len(_path(folder)) + 1 :]


def _artifacts_folder(location: str, workspace: Workspace) -> str:
    """The part of a location that names a workspace's folder of MLflow's artifacts; empty where it names none."""
    before, found, _ = location.rpartition(f"/{workspace.mlflow_artifacts.name}/")
    return (before + found).rstrip("/")


def _same(folder: str, other: Path) -> bool:
    try:
        return os.path.samefile(_path(folder), other)
    except OSError:
        return False


def _path(uri: str) -> str:
    return url2pathname(urlsplit(uri).path)
