"""Progress of long work: bars on a terminal, plain log lines elsewhere; always on standard error.

Rich draws the bars. It has no log lines for work without a terminal, and work in several threads must share one display: both are here.
"""

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


class Display:
    """The bars on the terminal, which all work at the same time shares: there from the first piece of work to the last."""

    def __init__(self) -> None:
        self.bars: Progress | None = None
        self.users = 0
        self._lock = threading.Lock()

    @contextmanager
    def shared(self) -> Iterator[Progress | None]:
        """The bars for one piece of work; None where standard error is not a terminal."""
        if not sys.stderr.isatty():
            yield None
            return
        with self._lock:
            if self.bars is None:
                columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
                name, note = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[note]}", markup=False)
                self.bars = Progress(name, *columns, note, console=Console(stderr=True), transient=True)
                self.bars.start()
            self.users += 1
            bars = self.bars
        try:
            yield bars
        finally:
            with self._lock:
                self.users -= 1
                if self.users == 0:
                    bars.stop()
                    self.bars = None


display = Display()


class Bar:
    """One piece of work under way: ``advance`` it, with figures worth seeing as keywords."""

    def __init__(self, name: str, total: float, unit: str, bars: Progress | None, line_every: float):
        self.name, self.total, self.unit, self.done = name, total, unit, 0.0
        self._bars, self._line_every = bars, line_every
        self._task = bars.add_task(name, total=total, note="") if bars else None
        self._started = self._line = time.monotonic()

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        """Count ``amount`` as done. ``figures`` are shown beside it."""
        self.done += amount
        note = " ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items())
        if self._bars and self._task is not None:
            self._bars.update(self._task, advance=amount, note=note)
        elif time.monotonic() - self._line >= self._line_every:
            self._line = time.monotonic()
            log.info("%s: %.0f of %.0f %s%s", self.name, self.done, self.total, self.unit, f", {note}" if note else "")

    def close(self) -> None:
        """Remove the bar, and log what was done in which time."""
        if self._bars and self._task is not None:
            self._bars.remove_task(self._task)
        log.info("%s: %.0f %s in %.1f s", self.name, self.done, self.unit, time.monotonic() - self._started)


@contextmanager
def progress(name: str, total: float, unit: str = "items", line_every: float = LINE_EVERY) -> Iterator[Bar]:
    """Show work named ``name`` while the block runs. Threads may show their work side by side.

    ``line_every``: seconds between two log lines, where standard error is not a terminal.
    """
    with display.shared() as bars:
        bar = Bar(name, total, unit, bars, line_every)
        try:
            yield bar
        finally:
            bar.close()
