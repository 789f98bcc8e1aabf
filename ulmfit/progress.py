"""Progress of long work: bars on a terminal, plain log lines elsewhere; always on standard error. Both say how long is left.

Rich draws the bars. It has no log lines for work without a terminal, and work in several threads must share one display: both are here.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

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
                columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
                name, note = (
                    TextColumn("{task.description}", markup=False),
                    TextColumn("{task.fields[left]} {task.fields[note]}", markup=False),
                )
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


@dataclass
class Outlook:
    """How long a whole run will take: what is expected of its pieces of work, corrected by how long those at hand have taken.

    ``chains``: pieces of work that follow one another, as (name, seconds); chains go side by side. ``after``: seconds for what follows all.
    """

    chains: Sequence[Sequence[tuple[str, float]]] = ()
    after: float = 0.0
    bars: dict[str, "Bar"] = field(default_factory=dict)

    def expect(self, chains: Sequence[Sequence[tuple[str, float]]], after: float) -> None:
        """A run begins. Work under names that are not among ``chains`` does not count."""
        self.chains, self.after, self.bars = chains, after, {}

    def note(self, bar: "Bar") -> None:
        """Work begins; whether it counts, its name says."""
        if self.counts(bar.name):
            self.bars[bar.name] = bar

    def counts(self, name: str) -> bool:
        """Whether the name is that of expected work."""
        return any(name == expected for chain in self.chains for expected, _ in chain)

    def left(self) -> float | None:
        """Seconds until the end of the run; None where nothing is expected, or nothing has begun."""
        begun = [(seconds, self.bars[name]) for chain in self.chains for name, seconds in chain if name in self.bars]
        expected = sum(seconds * bar.share for seconds, bar in begun)
        if not expected:
            return None
        slowness = sum(bar.seconds for _, bar in begun) / expected
        return max(sum(self._left(name, seconds, slowness) for name, seconds in chain) for chain in self.chains) + self.after * slowness

    def _left(self, name: str, seconds: float, slowness: float) -> float:
        left = self.bars[name].left if name in self.bars else None
        return seconds * slowness if left is None else left


outlook = Outlook()


class Bar:
    """One piece of work under way: ``advance`` it, with figures worth seeing as keywords.

    ``work``: its size in the unit that time goes by, where that is not ``unit``.
    """

    def __init__(self, name: str, total: float, unit: str, work: float | None, bars: Progress | None, line_every: float):
        self.name, self.total, self.unit, self.done = name, total, unit, 0.0
        self.work, self._worked, self._skipped = total if work is None else work, 0.0, 0.0
        self._bars, self._line_every = bars, line_every
        self._task = bars.add_task(name, total=total, note="", left="") if bars else None
        self._started = self._line = time.monotonic()
        self._ended: float | None = None
        outlook.note(self)

    @property
    def seconds(self) -> float:
        """Since it began; in all, once it has ended."""
        return (self._ended or time.monotonic()) - self._started

    @property
    def share(self) -> float:
        """Of the work, what was done since it began here: 0 to 1."""
        return min(1.0, (self._worked - self._skipped) / self.work) if self.work else float(self._ended is not None)

    @property
    def left(self) -> float | None:
        """Seconds until it ends, as fast as it went so far; None where that cannot be said yet."""
        if self._ended is not None:
            return 0.0
        worked = self._worked - self._skipped
        return self.seconds / worked * max(0.0, self.work - self._worked) if worked > 0 else None

    def skip(self, amount: float) -> None:
        """Count ``amount`` as done before, in no time."""
        self.done += amount
        self._skipped += amount / self.total * self.work if self.total else 0.0
        self._worked = self._skipped
        if self._bars and self._task is not None:
            self._bars.update(self._task, advance=amount)

    def advance(self, amount: float = 1, work: float | None = None, **figures: float | str) -> None:
        """Count ``amount``, and the ``work`` that it took, as done. ``figures`` are shown beside it."""
        self.done += amount
        self._worked += amount if work is None else work
        note = " ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items())
        if self._bars and self._task is not None:
            self._bars.update(self._task, advance=amount, note=note, left=self._told())
        elif time.monotonic() - self._line >= self._line_every:
            self._line = time.monotonic()
            parts = (f"{self.done:.0f} of {self.total:.0f} {self.unit}", note, self._told())
            log.info("%s: %s", self.name, ", ".join(filter(None, parts)))

    def _told(self) -> str:
        """What is left of it, and of the run."""
        left = self.left
        if left is None:
            return ""
        run = outlook.left() if outlook.counts(self.name) else None
        return f"{clock(left)} left" + (f" ({clock(run)} of the run)" if run is not None else "")

    def close(self) -> None:
        """Remove the bar, and log what was done in which time."""
        self._ended = time.monotonic()
        if self._bars and self._task is not None:
            self._bars.remove_task(self._task)
        log.info("%s: %.0f %s in %.1f s", self.name, self.done, self.unit, time.monotonic() - self._started)


@contextmanager
def progress(name: str, total: float, unit: str = "items", work: float | None = None, line_every: float = LINE_EVERY) -> Iterator[Bar]:
    """Show work named ``name`` while the block runs. Threads may show their work side by side.

    ``work``: its size in the unit that time goes by, where that is not ``unit``. ``line_every``: seconds between two log lines, where
    standard error is not a terminal.
    """
    with display.shared() as bars:
        bar = Bar(name, total, unit, work, bars, line_every)
        try:
            yield bar
        finally:
            bar.close()


def clock(seconds: float) -> str:
    """``0:07``, ``12:30``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
