"""What is to be told to a server, kept in files until it is told: in order, each once, and also by the next run.

A process writes its entries into a file of its own, a line each, and a thread sends them. Beside the file stands how many of its bytes are
sent. While the server is away, entries pile up in the file and work goes on. What a process leaves behind when it ends, the next one sends
first. An entry that is sent is noted as such afterwards: if a crash comes in between, it is sent again, so whoever delivers must make that
harmless.
"""

import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO, Self

from tasks.servers import cause
from ulmfit.store.journal import new_id, now

log = logging.getLogger(__name__)

ENDING, SENT, REFUSED = ".jsonl", ".sent", "refused.jsonl"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between two tries
ANSWER = 30.0  # seconds for the answer of a server that is there

Deliver = Callable[[bytes], str | None]  # one entry; what the server answered. Raises Undelivered


class Undelivered(Exception):
    """An entry was not taken. After so many ``tries`` it is set aside; None: the server is away, and the entry waits."""

    def __init__(self, reason: str, tries: int | None):
        super().__init__(reason)
        self.tries = tries


class Entries:
    """The file of one process. It is locked as long as that process lives."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self._file = path, file
        self._mark = path.with_suffix(SENT)
        self.sent = int(self._mark.read_text() or 0) if self._mark.exists() else 0  # bytes
        self._file.seek(self.sent)
        self.remaining = sum(line.endswith(b"\n") for line in self._file)  # entries

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new file. It gets its name when it is locked, so that nobody takes it for one that was left behind."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{new_id(now())}{ENDING}"
        file = open(path.with_suffix(".new"), "a+b")  # noqa: SIM115 - open as long as the process lives
        fcntl.flock(file, fcntl.LOCK_EX)
        os.rename(file.name, path)
        return cls(path, file)

    @classmethod
    def left_behind(cls, folder: Path) -> Iterator[Self]:
        """The files of processes that have ended, the oldest first."""
        for path in sorted(folder.glob(f"[!.]*{ENDING}")):
            if path.name == REFUSED:
                continue
            try:
                file = open(path, "a+b")  # noqa: SIM115
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            if os.fstat(file.fileno()).st_nlink:  # not sent and removed by another just now
                yield cls(path, file)

    def append(self, entry: bytes) -> int:
        """Write an entry, which holds no line break; returns where it ends."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(entry + b"\n")
        self._file.flush()
        self.remaining += 1
        return self._file.tell()

    def next(self) -> bytes | None:
        """The first entry that is not sent. One without its end was cut off with its process."""
        self._file.seek(self.sent)
        line = self._file.readline()
        return line[:-1] if line.endswith(b"\n") else None

    def done(self, entry: bytes) -> int:
        """Note that the first entry is dealt with; returns where it ends."""
        self.sent += len(entry) + 1
        self.remaining -= 1
        self._mark.write_text(str(self.sent))
        return self.sent

    def close(self) -> None:
        """Give up the lock, as the end of the process does."""
        self._file.close()

    def remove(self) -> None:
        """All is sent."""
        self.path.unlink()  # first: without its mark, all of it would be sent again
        self._mark.unlink(missing_ok=True)
        self.close()


def kept(folder: Path) -> int:
    """How many entries below ``folder`` are still to be sent, to whatever server. Takes no lock."""
    return sum(_count(file) for file in folder.glob(f"*/[!.]*{ENDING}") if file.name != REFUSED)


def _count(file: Path) -> int:
    try:
        mark = file.with_suffix(SENT)
        return file.read_bytes()[int(mark.read_text() or 0) if mark.exists() else 0 :].count(b"\n")
    except FileNotFoundError:  # just sent
        return 0


class Outbox:
    """Entries for one server, sent by a thread. ``server``: its address, for the log."""

    def __init__(self, folder: Path, server: str, deliver: Deliver):
        self.folder, self.server, self._deliver = folder, server, deliver
        self._changed = threading.Condition()
        self._own: Entries | None = None
        self._files: deque[Entries] = deque(Entries.left_behind(folder))
        self._answers: dict[int, Future[str | None]] = {}  # by the end of the entry in our own file
        self._failing: str | None = None  # why the last try failed
        self._closed = False
        self._thread: threading.Thread | None = None
        if self._files:
            self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._send, daemon=True, name="outbox")
        self._thread.start()

    def put(self, entry: str) -> "Future[str | None]":
        """Keep an entry to be sent; what the server will answer."""
        promised: Future[str | None] = Future()
        with self._changed:
            if self._own is None:
                self._own = Entries.create(self.folder)
                self._files.append(self._own)
            self._answers[self._own.append(entry.encode())] = promised
            self._closed = False
            if self._thread is None:
                self._start()
            self._changed.notify_all()
        return promised

    def answer(self, promised: "Future[str | None]") -> str | None:
        """What the server answered; None where it is away just now. Waits for a server that is there."""
        with self._changed:
            self._changed.wait_for(lambda: promised.done() or self._failing, ANSWER)
        return promised.result() if promised.done() else None

    def wait(self, seconds: float) -> int:
        """Wait until all is sent, so many seconds at most; how many entries remain."""
        with self._changed:
            self._changed.wait_for(lambda: not self._remaining(), seconds)
            return self._remaining()

    def close(self, seconds: float) -> int:
        """Wait as ``wait`` does, and stop sending; how many entries remain, for the next process. What is put later is sent all the same."""
        remaining = self.wait(seconds)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._thread is None, 1)
        return remaining

    @property
    def failing(self) -> str | None:
        """Why the server does not take the next entry; None where it does."""
        return self._failing

    def _remaining(self) -> int:
        return sum(entries.remaining for entries in self._files)

    def _send(self) -> None:
        tries = 0
        while (found := self._wait_for_entry()) is not None:
            entries, entry = found
            try:
                answer = self._deliver(entry)
            except Undelivered as error:
                tries += 1
                if error.tries is None or tries < error.tries:
                    self._pause(str(error), tries)
                    continue
                self._set_aside(entry, str(error))
                answer = None
            except BaseException as error:  # a fault of ours: the thread goes on, for others wait for it
                log.debug("outbox", exc_info=True)
                self._set_aside(entry, cause(error))
                answer = None
            tries = 0
            self._sent(entries, entry, answer)

    def _wait_for_entry(self) -> tuple[Entries, bytes] | None:
        """The next entry to send; None when there is nothing more to do."""
        with self._changed:
            while not self._closed:
                while self._files:
                    entries = self._files[0]
                    if (entry := entries.next()) is not None:
                        return entries, entry
                    if entries is self._own:
                        break
                    self._files.popleft().remove()
                self._changed.wait()
            if self._own and not self._own.remaining:
                self._files.remove(self._own)
                self._own.remove()
                self._own = None
            self._thread = None
            self._changed.notify_all()
            return None

    def _pause(self, reason: str, tries: int) -> None:
        with self._changed:
            if tries > 1 and self._failing is None:
                log.warning(
                    "%s does not answer (%s); what it is to be told is kept in %s, and work goes on", self.server, reason, self.folder
                )
                self._failing = reason
                self._changed.notify_all()
            until = time.monotonic() + min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
            self._changed.wait_for(lambda: self._closed, max(0.0, until - time.monotonic()))

    def _sent(self, entries: Entries, entry: bytes, answer: str | None) -> None:
        with self._changed:
            end = entries.done(entry)
            if self._failing is not None:
                log.info("%s answers again", self.server)
                self._failing = None
            if entries is self._own:
                self._answers.pop(end).set_result(answer)
            self._changed.notify_all()

    def _set_aside(self, entry: bytes, reason: str) -> None:
        log.warning("%s refuses an entry (%s); it is set aside in %s", self.server, reason, self.folder / REFUSED)
        with open(self.folder / REFUSED, "ab") as file:
            file.write(entry + b"\n")
