"""Dask: a cluster of worker processes, and the mapping of a function over the parts of a corpus."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import dask
from distributed import Client, LocalCluster, as_completed
from distributed.scheduler import KilledWorker

from ulmfit.errors import UserError
from ulmfit.progress import progress

log = logging.getLogger(__name__)

Spec = TypeVar("Spec")
Record = TypeVar("Record")

RETRIES = 2  # of a part whose function raised an OSError, as a network file system may
ALLOWED_DEATHS = 3  # of workers on one part, before the part is blamed
MEMORY_SHARE = 0.7  # of the machine, over all local workers


class Cluster:
    """A Dask cluster that starts when it is first needed: a run that finds all its artifacts starts none."""

    def __init__(self, address: str | None):
        self.address = address
        self._client: Client | None = None
        self._lock = threading.Lock()

    def client(self) -> Client:
        """The connected client; UserError where the address answers to nobody."""
        with self._lock:
            if self._client is None:
                self._client = _connect(self.address)
            return self._client

    def close(self) -> None:
        """Leave an existing cluster, or stop the one that was started here."""
        if self._client is not None:
            own = self._client.cluster
            self._client.close()
            if own is not None:
                own.close()
            self._client = None

    def map(self, name: str, function: Callable[[Spec], Record], specs: Sequence[Spec], label: Callable[[Spec], str]) -> list[Record]:
        """``function`` over ``specs`` on the workers, results in the order of ``specs``.

        A part whose worker dies is tried on another; RuntimeError names the part that no worker survives. The first
        exception of a part is raised as it is, and the rest of the parts are given up.
        """
        if not specs:
            return []
        client = self.client()
        futures = client.map(function, specs, pure=False, retries=RETRIES, key=f"{name.replace(' ', '-')}-{os.urandom(4).hex()}")
        place = {future.key: index for index, future in enumerate(futures)}
        records: list[Any] = [None] * len(specs)
        try:
            with progress(name, len(specs), "parts") as bar:
                for future in as_completed(futures):
                    index = place[future.key]
                    records[index] = _outcome(future, label(specs[index]))
                    bar.advance()
        finally:
            client.cancel([future for future in futures if not future.done()])
        return records


def _outcome(future: Any, part: str) -> Any:
    try:
        return future.result()
    except KilledWorker as error:
        raise RuntimeError(
            f"part {part}: {ALLOWED_DEATHS + 1} workers died while working on it; is it too large for a worker's memory?"
        ) from error


def _connect(address: str | None) -> Client:
    if address and not address.isdigit():
        try:
            return Client(address, timeout="10s")
        except (OSError, ValueError) as error:
            raise UserError(f"--dask {address}: no Dask scheduler answers there; start one, or give a number of local workers") from error
    workers = int(address) if address else (os.cpu_count() or 1)
    if workers < 1:
        raise UserError("--dask 0: give at least one local worker")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it says of workers that come and go is no news
    dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_DEATHS, "distributed.comm.timeouts.connect": "30s"})
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,  # tokenising holds the interpreter's lock
        processes=True,
        memory_limit=MEMORY_SHARE / workers,
        silence_logs=logging.CRITICAL,
        dashboard_address="127.0.0.1:0",
    )
    log.info("Dask: %d local workers, dashboard at %s", workers, cluster.dashboard_link)
    return Client(cluster)


@contextmanager
def open_cluster(address: str | None) -> Iterator[Cluster]:
    """A cluster for the time of a flow run: ``address`` is a scheduler's, or a number of local workers, or None for one a core."""
    cluster = Cluster(address)
    try:
        yield cluster
    finally:
        cluster.close()
