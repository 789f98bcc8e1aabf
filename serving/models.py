"""The model that is served, and how another takes its place: it is looked for, loaded beside, and put in use at once."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.registry import load_version, resolve
from tasks.workspace import Workspace
from ulmfit.prediction.predictor import Predictor

log = logging.getLogger(__name__)

POLL = 3.0  # seconds between two looks at the registry
REGISTRY = "models:/"
WARM_UP = "A first text, so that the first request does not wait for what is made once."


@dataclass(frozen=True)
class Served:
    """A loaded model and its ``name``: ``models:/NAME/VERSION``, or that of its folder."""

    name: str
    predictor: Predictor


class Source(Protocol):
    """Where a model comes from. ``moves``: whether another may take its place."""

    @property
    def moves(self) -> bool: ...

    def due(self) -> str:
        """The name of the model that is to be served now."""

    def load(self) -> Served:
        """That model. UserError where it cannot be loaded."""


@dataclass(frozen=True)
class Folder:
    """A model's folder."""

    path: Path
    moves = False

    def due(self) -> str:
        """The folder's name."""
        return self.path.absolute().name

    def load(self) -> Served:
        """The model in the folder."""
        return Served(self.due(), Predictor(self.path))


@dataclass(frozen=True)
class Registered:
    """A version in the registry; another may get its alias."""

    workspace: Workspace
    uri: str

    @property
    def moves(self) -> bool:
        """An alias can be moved, a version stays."""
        return "@" in self.uri

    def due(self) -> str:
        """The version's URI."""
        version = resolve(self.workspace, self.uri)
        return f"{REGISTRY}{version.name}/{version.version}"

    def load(self) -> Served:
        """The version that the URI names now."""
        version = resolve(self.workspace, self.uri)
        return Served(f"{REGISTRY}{version.name}/{version.version}", load_version(self.workspace, version))


def source_of(model: str, workspace: str | None) -> Source:
    """The source of a model's folder or of ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``."""
    return Registered(Workspace.named(workspace), model) if model.startswith(REGISTRY) else Folder(Path(model))


class Models:
    """``now``: the model in use, from the start. UserError where it cannot be loaded."""

    def __init__(self, source: Source):
        self._source, self._ended = source, threading.Event()
        self._trouble = ""
        self.now = _warm(source.load())
        self.changes = 0

    def watch(self) -> None:
        """Look for another model from now on, until ``close``."""
        if self._source.moves:
            threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def look(self) -> None:
        """Put the model that is due in use. Where that fails the present one stays, and the log says why, once."""
        try:
            if self._source.due() != self.now.name:
                found = _warm(self._source.load())
                log.info("%s is served from now on, no longer %s", found.name, self.now.name)
                self.now, self.changes = found, self.changes + 1
            self._trouble = ""
        except Exception as error:  # whatever it is, the present model answers
            if str(error) != self._trouble:
                log.warning(
                    "%s is still served: the registry's model cannot be had (%s)", self.now.name, " ".join(str(error).split())[:300]
                )
            self._trouble = str(error)

    def _watch(self) -> None:
        while not self._ended.wait(POLL):
            self.look()


def _warm(served: Served) -> Served:
    served.predictor.probabilities([WARM_UP], shown=False)
    return served
