"""Faults for the Python processes that have this folder on PYTHONPATH; Python imports this module when it starts.

FAULTS names a folder, and the files in it say what goes wrong:
``hold``: a process that is about to move a file into place whose name has one of the words in ``hold`` makes a file ``held-PID`` and
stands still until ``hold`` is gone. ``full``: every fsync finds the disk full.
And a text with one of the words in HARMS does harm to the process that tokenises it.
"""

from __future__ import annotations

import errno
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE, FUNCTION = "ulmfit.text.tokenizer", "without_lone_surrogates"  # every text goes through it
FOLDER = os.environ.get("FAULTS")


def hunger() -> None:
    held = []
    for _ in range(60):
        held.append(b"x" * (50 << 20))
        time.sleep(0.05)


HARMS: dict[str, Callable[[], Any]] = {
    "killword": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crashword": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hangword": lambda: time.sleep(1000),
    "hungryword": hunger,
}


def harmful(function: Callable[[str], str]) -> Callable[[str], str]:
    def harmed(text: str) -> str:
        for word, harm in HARMS.items():
            if word in text:
                harm()
        return function(text)

    return harmed


class Harmer(importlib.abc.MetaPathFinder):
    """Puts the harm into the tokenizer's module when that is imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_harm(module: Any) -> None:
            execute(module)
            setattr(module, FUNCTION, harmful(getattr(module, FUNCTION)))

        spec.loader.exec_module = execute_and_harm  # type: ignore[method-assign]
        return spec


def install(folder: Path) -> None:
    replace, fsync = os.replace, os.fsync

    def replace_or_hold(source: Any, target: Any, **options: Any) -> None:
        hold = folder / "hold"
        try:
            if any(word in os.path.basename(target) for word in hold.read_text().split()):
                (folder / f"held-{os.getpid()}").touch()
                while hold.exists():
                    time.sleep(0.02)
        except FileNotFoundError:
            pass
        replace(source, target, **options)

    def fsync_or_full(file: Any) -> None:
        if (folder / "full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    os.replace, os.fsync = replace_or_hold, fsync_or_full
    sys.meta_path.insert(0, Harmer())
    sys.modules["torch"] = None  # type: ignore[assignment]  # spaCy imports it where it can, which takes seconds and is of no use here


if FOLDER:
    install(Path(FOLDER))
