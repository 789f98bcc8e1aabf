"""The CPU's cores, and how the two directions share them."""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import torch
from joblib import cpu_count

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The cores that this process may use: by its affinity, its container's quota and ``OMP_NUM_THREADS``."""
    wished = os.environ.get("OMP_NUM_THREADS", "")
    return min(cpu_count(), int(wished)) if wished.isdecimal() and int(wished) else cpu_count()


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], device: str) -> list[Result]:
    """``[work(item) for item in items]``. On a CPU they run at once, each in a thread of its own with its share of the cores.

    A matrix product on several threads waits for the slowest of them, at each of an LSTM's time steps; where something else uses a
    core, most of the time is waiting. Threads with a core each do not wait. Where there are fewer cores than items, and on a GPU, one
    follows the other. Where one fails, and at Ctrl-C, the others are stopped, and the error is raised.
    """
    if device != "cpu" or cores() < len(items) or len(items) < 2:
        return [work(item) for item in items]
    at_work, lock, share = set[int](), threading.Lock(), cores() // len(items)

    def noted(item: Item) -> Result:
        torch.set_num_threads(share)  # of products that this thread starts
        at_work.add(threading.get_ident())
        try:
            return work(item)
        finally:
            with lock:
                at_work.remove(threading.get_ident())

    with ThreadPoolExecutor(len(items)) as pool:
        try:
            waiting = [pool.submit(noted, item) for item in items]
            for future in as_completed(waiting):
                future.result()
        except BaseException:
            with lock:
                for thread in at_work:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
            raise
    return [future.result() for future in waiting]
