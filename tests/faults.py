"""Faults put between the writes of the store: as if the process were killed there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ulmfit.store import filesystem

WRITES = ("output_file", "write_bytes", "write_new", "link_or_copy", "copy", "remove")


class Killed(BaseException):
    """Like a kill: nothing that handles errors handles it."""


@contextmanager
def killed_after(writes: int) -> Iterator[None]:
    """All writes and removals after so many fail, with Killed."""
    done = 0

    def limited(real: Any) -> Any:
        def act(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            if done >= writes:
                raise Killed
            done += 1
            return real(*args, **kwargs)

        return act

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(filesystem, name, limited(getattr(filesystem, name)))
        yield
