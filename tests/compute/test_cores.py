"""The cores of a process, and work side by side on them."""

import os
import signal
import threading
import time

import pytest
import torch

from ulmfit.compute import cores as module
from ulmfit.compute.cores import cores, side_by_side


@pytest.mark.parametrize(("wished", "expected"), [("", 8), ("3", 3), ("64", 8), ("0", 8), ("many", 8)])
def test_cores_are_those_of_the_machine_and_at_most_those_wished_for(monkeypatch, wished, expected):
    monkeypatch.setattr(module, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", wished)
    assert cores() == expected


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 4)


def test_on_a_cpu_each_has_a_thread_and_its_share_of_the_cores(four_cores):
    together = threading.Barrier(2, timeout=30)  # passed only where both run at once

    def work(item: str) -> tuple[str, int, int]:
        together.wait()
        return item.upper(), threading.get_ident(), torch.get_num_threads()

    before = torch.get_num_threads()
    (a, first, of_first), (b, second, of_second) = side_by_side(work, ["a", "b"], "cpu")
    assert (a, b) == ("A", "B") and first != second and of_first == of_second == 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("device", "available"), [("cuda", 4), ("cpu", 1)])
def test_on_a_gpu_or_one_core_they_take_turns(monkeypatch, device, available):
    monkeypatch.setattr(module, "cores", lambda: available)
    assert side_by_side(lambda item: (item, threading.get_ident()), [1, 2], device) == [
        (1, threading.get_ident()),
        (2, threading.get_ident()),
    ]


@pytest.fixture
def interruptible():
    """Ctrl-C as Python has it, whatever commands have run in this process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def of_the_work() -> None:
    raise ValueError("of the work")


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("trouble", "error"), [(of_the_work, ValueError), (ctrl_c, KeyboardInterrupt)])
def test_an_error_of_one_and_ctrl_c_stop_the_others(four_cores, interruptible, trouble, error):
    started, ended = threading.Event(), list[str]()

    def work(item: str) -> None:
        try:
            if item == "bad":
                started.wait(30)
                time.sleep(0.2)  # the main thread waits by now
                trouble()
            while True:
                started.set()
                time.sleep(0.01)
        finally:
            ended.append(item)

    with pytest.raises(error):
        side_by_side(work, ["good", "bad"], "cpu")
    assert set(ended) == {"good", "bad"}
