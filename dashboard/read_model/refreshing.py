"""Fills the read model, again and again, in a thread: a source that is down leaves what was read of it before, and pages say so."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from mlflow.exceptions import MlflowException

from dashboard.read_model import artifacts, journals, ledgers, orchestrator, reports, studies, tracking
from dashboard.read_model.away import Away
from dashboard.read_model.database import Database
from tasks.servers import cause
from tasks.workspace import Workspace
from ulmfit.errors import RunFailed, UserError

log = logging.getLogger(__name__)

EVERY, EVERY_ON_S3 = 10.0, 60.0  # seconds between two looks; each lists folders, which has a price on S3
IN_STORE = ("decisions", "ledger", "artifacts")  # sources
THREADS = [
    ["decisions"],
    ["ledger"],
    ["artifacts"],
    ["reports", "studies"],
    ["MLflow"],
    ["Prefect"],
]  # studies are looked for among the reports
LONGEST = 300  # letters of what is said of a failure
Read = Callable[[Database], None]
FAILURES = (Away, UserError, RunFailed, MlflowException, OSError, sqlite3.OperationalError)


class Refreshing(AbstractContextManager["Refreshing"]):
    """While the block runs, the read model follows the workspace."""

    def __init__(self, workspace: Workspace, database: Database):
        self.database, store = database, workspace.store
        self.every = dict.fromkeys(IN_STORE, EVERY_ON_S3 if store.remote else EVERY)
        self.sources: dict[str, Read] = {
            "decisions": lambda database: journals.read(store, database),
            "ledger": lambda database: ledgers.read(store, database),
            "artifacts": lambda database: artifacts.read(store, database),
            "reports": lambda database: reports.read(workspace.reports, database),
            "studies": lambda database: studies.read(workspace.reports, database),
            "MLflow": lambda database: tracking.read(workspace, database),
            "Prefect": orchestrator.read,
        }
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._follow, args=names, daemon=True, name=f"read {names[0]}") for names in THREADS]

    def __enter__(self) -> "Refreshing":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()

    def _follow(self, *names: str) -> None:
        while not self._ended.is_set():
            for name in names:
                self.read(name)
            self._ended.wait(self.every.get(names[0], EVERY))

    def read_all(self) -> None:
        """Look at every source once."""
        for name in self.sources:
            self.read(name)

    def read(self, name: str) -> None:
        """Look at one source; what comes of it is noted."""
        tried = time.time()
        try:
            self.sources[name](self.database)
            self._note(name, True, tried)
        except FAILURES as error:
            says = str(error) if isinstance(error, Away | UserError) else cause(error)
            self._note(name, None if isinstance(error, Away) and error.expected else False, tried, says)
        except Exception:
            log.exception("%s could not be read", name)
            self._note(name, False, tried, "an error of the dashboard's; its log has the reason")

    def _note(self, name: str, good: bool | None, tried: float, says: str = "") -> None:
        """``good``: None where there need not be such a source."""
        try:
            with self.database.writing() as writing:
                before = writing.execute("select read_at from sources where name = ?", [name]).fetchone()
                read_at = time.time() if good else before["read_at"] if before else None
                facts = [name, good, read_at, tried, " ".join(says.split())[:LONGEST]]
                writing.execute("insert or replace into sources values (?, ?, ?, ?, ?)", facts)
        except (sqlite3.Error, OSError) as error:
            log.warning("%s: the read model cannot be written (%s)", self.database.file, error)
