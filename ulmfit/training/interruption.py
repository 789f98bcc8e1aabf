"""The end of trainings that somebody asks for: each writes a checkpoint after its step, and ends there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ulmfit.errors import RunFailed


class Interrupted(RunFailed):
    """A training ended because that was asked for; its checkpoint is written."""


class Interruption:
    """What asks for the end, and the trainings under way that it waits for."""

    def __init__(self) -> None:
        self.asked = False
        self._ended = threading.Condition()
        self._trainings: list[Callable[[], None]] = []

    @contextmanager
    def awaited(self, ask: Callable[[], None] = lambda: None) -> Iterator[None]:
        """A training is under way in this block. ``ask`` passes the question on, to other processes."""
        with self._ended:
            self._trainings.append(ask)
        try:
            yield
        finally:
            with self._ended:
                self._trainings.remove(ask)
                self._ended.notify_all()

    def ask(self, seconds: float = 0.0) -> None:
        """Ask all trainings to end, and wait until they have, but not longer than ``seconds``."""
        self.asked = True
        with self._ended:
            for ask in self._trainings:
                ask()
            self._ended.wait_for(lambda: not self._trainings, seconds)


INTERRUPTION = Interruption()  # of this process, as signals are
