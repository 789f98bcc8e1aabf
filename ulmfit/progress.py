"""Progress of long work: bars on a terminal, plain log lines elsewhere; always on standard error."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LINE_EVERY = 15.0  # seconds between two plain lines of one piece of work

_lock = threading.Lock()
_shown: Progress | None = None
_users = 0


class Bar:
    """One piece of work under way: ``advance`` it, with figures worth seeing as keywords."""

    def __init__(self, name: str, total: float, unit: str, bars: Progress | None):
        self.name, self.total, self.unit, self.done = name, total, unit, 0.0
        self._bars = bars
        self._task = bars.add_task(name, total=total, note="") if bars else None
        self._started = self._line = time.monotonic()

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        self.done += amount
        note = " ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items())
        if self._bars and self._task is not None:
            self._bars.update(self._task, advance=amount, note=note)
        elif time.monotonic() - self._line >= LINE_EVERY:
            self._line = time.monotonic()
            log.info("%s: %.0f of %.0f %s%s", self.name, self.done, self.total, self.unit, f", {note}" if note else "")

    def close(self) -> None:
        if self._bars and self._task is not None:
            self._bars.remove_task(self._task)
        log.info("%s: %.0f %s in %.1f s", self.name, self.done, self.unit, time.monotonic() - self._started)


@contextmanager
def progress(name: str, total: float, unit: str = "items") -> Iterator[Bar]:
    """Show work named ``name`` while the block runs. Threads may show their work side by side."""
    bars = _acquire()
    bar = Bar(name, total, unit, bars)
    try:
        yield bar
    finally:
        bar.close()
        _release()


def _acquire() -> Progress | None:
    global _shown, _users
    if not sys.stderr.isatty():
        return None
    with _lock:
        if _shown is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            _shown = Progress(*columns, console=Console(stderr=True), transient=True)
            _shown.start()
        _users += 1
        return _shown


def _release() -> None:
    global _shown, _users
    with _lock:
        if _shown is None:
            return
        _users -= 1
        if _users == 0:
            _shown.stop()
            _shown = None
