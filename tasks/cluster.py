"""Dask: a cluster of worker processes, and the mapping of a function over the parts of a corpus.

Workers die, parts kill workers, schedulers are restarted: a map survives the first, names the second and waits for the third.
It holds the records and a bounded number of parts under way, never a task for each of a hundred thousand parts.
"""

import asyncio
import errno
import logging
import multiprocessing
import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count, islice
from typing import Any, Generic, TypeVar

import dask
from distributed import Client, Future, LocalCluster
from distributed.client import ClosedClientError
from distributed.core import rpc
from distributed.scheduler import KilledWorker
from distributed.security import Security

from ulmfit.errors import RunFailed, UserError
from ulmfit.progress import progress
from ulmfit.shards.mapping import PartKilled, PartWork

log = logging.getLogger(__name__)

Spec = TypeVar("Spec")
Record = TypeVar("Record")

RETRIES = 2  # of a part whose function raised an OSError, as a network file system may
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # another try would not help
ALLOWED_DEATHS = 1  # of local workers on one part, before it is set apart; as many again, before it is blamed
MEMORY_SHARE = 0.7  # of the machine, over all local workers
AHEAD = 4  # parts under way per worker thread: one at work, the others on their way to it
LEAST_AHEAD = 64
LOOK_EVERY = 20.0  # seconds, at the workers there are
FETCH = 5.0  # seconds for the record of a part that is done
CONNECT = 10.0  # seconds in which a scheduler answers
PATIENCE = 60.0  # seconds with a scheduler that is gone
LOSSES = 5  # of the connection, one after the other, with no part done in between


class Cluster:
    """A Dask cluster that starts when it is first needed: a run that finds all its artifacts starts none."""

    def __init__(self, address: str | None):
        self.address = address
        self.memory: int | None = None  # bytes, the limit of the smallest worker seen last; None before one was seen or without limits
        self._client: Client | None = None
        self._lock = threading.RLock()

    def client(self) -> Client:
        """The connected client; UserError where the address answers to nobody."""
        with self._lock:
            if self._client is None:
                self._client = _connect(self.address)
            return self._client

    def close(self) -> None:
        """Leave an existing cluster, or stop the one that was started here."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            own = client.cluster
            client.close()
            if own is not None:
                own.close()

    def map(self, work: PartWork[Spec, Record]) -> list[Record]:
        """Do the work on the workers; results in the order of the specs.

        A part whose worker dies is tried on another, and one that goes on killing them once more when all others are done and it is
        alone; then it is given to ``work.mend``, which returns the spec to try instead or raises, or without it raises PartKilled.
        Where the scheduler is restarted the parts without a result go to it again, so the function must not mind being called twice.
        The first exception of a part is raised as it is (an OSError after RETRIES), and the rest of the parts are given up.
        """
        if not work.specs:
            return []
        records: list[Any] = [None] * len(work.specs)
        results = _Mapping(self, work).results()
        with progress(work.name, len(work.specs), "parts") as bar, closing(results):
            for index, record in results:
                records[index] = record
                bar.advance()
        return records

    def restore(self, lost: Client) -> None:
        """Wait until the scheduler that ``lost`` was connected to answers again; RunFailed where it does not for PATIENCE seconds."""
        with self._lock:
            if self._client is not lost or lost.status == "running":
                return  # another thread, or Dask itself, was faster
            log.warning("the Dask scheduler %s is gone; waiting up to %.0f s for it to come back", self.address or "", PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                if lost.status == "running":  # Dask tries for the first CONNECT seconds
                    return
                if lost.status == "closed":
                    self.close()
                    with suppress(UserError):
                        self._client = _connect(self.address)
                        return
                time.sleep(0.2)
            self.close()
        raise RunFailed(
            f"the Dask scheduler {self.address} went away and did not come back within {PATIENCE:.0f} s; "
            "start it and run again: the parts that are done are kept"
        )


class _Mapping(Generic[Spec, Record]):
    """One map under way: its parts wait, then are with the scheduler (``flying``), then are done.

    When a worker dies Dask blames every part that was in its hands, so a part that it gives up is only a suspect. The suspects
    wait until all others are done and are run one at a time, which tells the culprit from those that kept it company.
    """

    def __init__(self, cluster: Cluster, work: PartWork[Spec, Record]):
        self.cluster, self.work = cluster, work
        # One group of keys: Dask queues the tasks of a large group, and hands a worker no more than it can work on.
        self.group = f"{work.name.replace(' ', '-')}-{os.urandom(4).hex()}"
        self.sent = count()
        self.fresh = iter(range(len(work.specs)))
        self.again: deque[int] = deque()
        self.suspects: deque[int] = deque()
        self.alone: int | None = None
        self.flying: dict[Any, tuple[int, Future]] = {}
        self.landed: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self.mended: dict[int, Spec] = {}
        self.failures: Counter[int] = Counter()
        self.deaths: Counter[int] = Counter()
        self.losses = 0
        self.window = LEAST_AHEAD
        self.looked = 0.0  # when the workers were counted
        self.heard = time.monotonic()  # when there were some

    def results(self) -> Generator[tuple[int, Record]]:
        """Indices and records, as they come."""
        self.client = self.cluster.client()
        try:
            while self._send():
                for future in self._arrivals():
                    index, _ = self.flying.pop(future.key, (None, None))
                    if index is not None:  # not of a connection that was lost
                        yield from self._land(index, future)
        finally:
            if self.flying and self.client.status == "running":
                with suppress(OSError, ClosedClientError):
                    self.client.cancel([future for _, future in self.flying.values()])
            self.flying.clear()

    def _send(self) -> bool:
        """Fill the window. False where nothing is left to be done."""
        if time.monotonic() - self.looked >= LOOK_EVERY:
            self._look()
        batch = list(islice(self._waiting(), max(0, self.window - len(self.flying))))
        if batch:
            self.alone = None
        elif not self.flying and self.suspects:
            self.alone = self.suspects.popleft()
            batch = [self.alone]
        if batch:
            self._submit(batch)
        return bool(self.flying or self.again)

    def _waiting(self) -> Iterator[int]:
        while self.again:
            yield self.again.popleft()
        yield from self.fresh

    def _spec(self, index: int) -> Spec:
        return self.mended[index] if index in self.mended else self.work.specs[index]

    def _submit(self, batch: list[int]) -> None:
        keys = [(self.group, next(self.sent)) for _ in batch]
        try:
            futures = self.client.map(self.work.function, [self._spec(index) for index in batch], key=keys, pure=False)
            for index, future in zip(batch, futures, strict=True):
                self.flying[future.key] = index, future
                future.add_done_callback(self.landed.put)
        except (OSError, ClosedClientError):
            under_way = {index for index, _ in self.flying.values()}
            self.again.extend(index for index in batch if index not in under_way)
            self._reconnect()

    def _arrivals(self) -> Iterator[Future]:
        """The parts that have come back, at least one; in time none, where the connection was lost."""
        while self.flying:
            try:
                yield self.landed.get(timeout=LOOK_EVERY)
                break
            except queue.Empty:
                if not self._look():
                    self._idle()
        for _ in range(self.landed.qsize()):  # not those that land meanwhile: the workers are to be given more first
            yield self.landed.get()

    def _idle(self) -> None:
        if self.client.cluster is None:  # somebody else's, who may yet start some
            log.warning("the Dask scheduler %s has no workers; waiting for one", self.cluster.address)
        elif self.looked - self.heard > PATIENCE:
            raise RunFailed("the local Dask workers died and do not start again; run again: the parts that are done are kept")

    def _look(self) -> bool:
        """See whether there are workers now, how many, and what memory they have."""
        self.looked = time.monotonic()
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        except (OSError, ClosedClientError):  # told by the parts under way
            return True
        self.window = max(LEAST_AHEAD, AHEAD * sum(worker["nthreads"] for worker in workers))
        if workers:
            self.heard = self.looked
            self.cluster.memory = min((worker["memory_limit"] for worker in workers if worker["memory_limit"]), default=None)
        return bool(workers)

    def _land(self, index: int, future: Future) -> Iterator[tuple[int, Record]]:
        try:
            record = future.result(timeout=FETCH)
        except KilledWorker as error:
            self._killed(index, error)
        except Exception as error:
            self.again.append(index)
            if future.status == "error":
                self.failures[index] += 1
                if not isinstance(error, OSError) or error.errno in DISK_FULL or self.failures[index] > RETRIES:
                    raise
            elif future.status == "cancelled" or not isinstance(error, TimeoutError):
                self._reconnect()
            # else its worker died with the record in its hands, and to ask another is quicker than to wait until Dask does
        else:
            self.losses = 0
            yield index, record

    def _killed(self, index: int, error: KilledWorker) -> None:
        self.deaths[index] += error.allowed_failures + 1
        if index != self.alone:
            self.suspects.append(index)
            return
        killed = PartKilled(index, self.work.label(self._spec(index)), self.deaths.pop(index), self.cluster.memory)
        if self.work.mend is None:
            raise killed from error
        self.mended[index] = self.work.mend(self._spec(index), killed)
        self.suspects.appendleft(index)

    def _reconnect(self) -> None:
        """Have all that was flying sent again, to the scheduler that is there then."""
        self.again.extend(index for index, _ in self.flying.values())
        self.flying.clear()
        self.losses += 1
        if self.losses > LOSSES:
            raise RunFailed(f"the connection to the Dask scheduler {self.cluster.address} is lost again and again; see its log")
        self.cluster.restore(self.client)
        self.client = self.cluster.client()


def check_scheduler(address: str | None) -> None:
    """UserError where ``--dask`` names no scheduler that answers within CONNECT seconds, or no workers at all."""
    if not address or (address.isdecimal() and int(address)):
        return
    if address.isdecimal():
        raise UserError("--dask 0: give at least one local worker")
    try:
        found = asyncio.run(asyncio.wait_for(_type(address), CONNECT))
    except (
        OSError,
        ValueError,
        TypeError,
        ImportError,
        RuntimeError,
    ) as error:  # TypeError: of tls:// without keys; TimeoutError is an OSError
        raise UserError(f"--dask {address}: no Dask scheduler answers there; start one, or give a number of local workers") from error
    if found != "Scheduler":
        raise UserError(
            f"--dask {address}: there is a {found}, not a Dask scheduler; give the scheduler's address, or a number of local workers"
        )


async def _type(address: str) -> str:
    """What answers at a Dask address: Scheduler, Worker or Nanny. A client would wait for ever for one that accepts and says nothing."""
    async with rpc(address, connection_args=Security().get_connection_args("client")) as server:
        return (await server.identity())["type"]


def _connect(address: str | None) -> Client:
    for name in ("distributed", "distributed.client"):  # what they say of workers and schedulers that come and go is said here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    check_scheduler(address)
    if address and not address.isdecimal():
        return Client(address, timeout=CONNECT)
    workers = int(address) if address else (os.cpu_count() or 1)
    dask.config.refresh(paths=[], env={})  # the user's own settings, which may load other code or files, are for clusters of their own
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
            "distributed.scheduler.worker-saturation": 1.0,  # a part that waits in a worker that dies would be blamed with it
            "distributed.comm.timeouts.connect": "30s",
            "distributed.deploy.lost-worker-timeout": "365d",  # after it a worker that is just being restarted again is given up for good
            "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 2,  # a worker's threads but one have little to do
        }
    )
    try:
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,  # tokenising holds the interpreter's lock
            processes=True,
            memory_limit=MEMORY_SHARE / workers,
            silence_logs=logging.CRITICAL,
            dashboard_address="127.0.0.1:0",
        )
    except RuntimeError as error:
        raise RunFailed(f"the local Dask workers cannot be started; what they said stands above, if they could ({error})") from error
    log.info("Dask: %d local workers, dashboard at %s", workers, cluster.dashboard_link)
    return Client(cluster)


def check_script() -> None:
    """UserError in a worker that is just starting: it runs the user's script again, which would start a cluster of its own without end."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # what Python itself asks before it starts a process there
        raise UserError('the script runs again in each worker: put what it does under `if __name__ == "__main__":`')


@contextmanager
def open_cluster(address: str | None) -> Iterator[Cluster]:
    """A cluster for the time of a flow run: ``address`` is a scheduler's, or a number of local workers, or None for one per core."""
    cluster = Cluster(address)
    try:
        yield cluster
    finally:
        cluster.close()
