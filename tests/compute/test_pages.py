"""Pages kept between steps: the C library is asked, and nothing fails where it cannot be."""

import resource
import subprocess
import sys

import pytest

from ulmfit.compute import pages
from ulmfit.compute.pages import keep_pages


def test_the_c_library_is_left_alone_where_the_user_says_so(monkeypatch):
    monkeypatch.setenv("ULMFIT_KEEP_PAGES", "0")
    monkeypatch.setattr(pages.ctypes, "CDLL", lambda name: pytest.fail("it was asked"))
    assert keep_pages.__wrapped__() is False


def test_another_c_library_is_no_fault(monkeypatch):
    monkeypatch.delenv("ULMFIT_KEEP_PAGES", raising=False)
    monkeypatch.setattr(pages.ctypes, "CDLL", lambda name: object())
    assert keep_pages.__wrapped__() is False


STEPS = """
import resource, torch
from ulmfit.compute.pages import keep_pages
asked = keep_pages()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        pieces = [torch.ones(8 << 20) for _ in range(3)]  # 32 MB each
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(asked, faults())
"""


def test_a_step_like_the_one_before_takes_no_fresh_pages():
    ended = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    asked, faults = ended.stdout.split()
    if asked == "False":
        pytest.skip("another C library than glibc")
    assert int(faults) < 3 * (32 << 20) // resource.getpagesize() // 10  # a step by itself touches 24,576 pages of 4 kB
