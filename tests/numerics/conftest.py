"""One thread: the sums of these small problems come out alike then, and do not wait for each other."""

import pytest


@pytest.fixture(autouse=True)
def on_one_thread(one_thread: None) -> None:
    """For all tests here."""
