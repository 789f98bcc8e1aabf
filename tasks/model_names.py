"""Names of registered models: a name that comes from a corpus belongs to one source."""

import hashlib
import logging
import os
from dataclasses import dataclass
from typing import Self

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.workspace import Workspace
from ulmfit.corpora.catalog.entries import CATALOG
from ulmfit.store import filesystem

log = logging.getLogger(__name__)

PLACE_TAG, BESIDE_TAG = "ulmfit.source", "ulmfit.source.beside"


@dataclass(frozen=True)
class ModelSource:
    """What tells a corpus from others of its name: ``place``, the name of a known one, a location on S3, or a path.

    ``beside``: the path relative to the workspace where that has its own registry, so that both can be moved together; else "".
    """

    place: str
    beside: str = ""

    @classmethod
    def of(cls, corpus: str, workspace: Workspace) -> Self:
        """The source that ``corpus`` names."""
        if corpus in CATALOG or filesystem.is_remote(corpus):
            return cls(corpus.rstrip("/"))
        folder, name = os.path.split(os.path.abspath(corpus))
        path = os.path.join(os.path.realpath(folder), name)
        return cls(path, os.path.relpath(path, os.path.realpath(workspace.root)) if workspace.tracks_itself else "")

    @property
    def tags(self) -> dict[str, str]:
        """As a registered model holds them."""
        return {PLACE_TAG: self.place} | ({BESIDE_TAG: self.beside} if self.beside else {})

    def is_that_of(self, tags: dict[str, str]) -> bool:
        """Whether the tags are those of this source, also where it or the workspace was moved."""
        return self.place == tags.get(PLACE_TAG) or self.beside == tags.get(BESIDE_TAG, "none")


def own_name(client: MlflowClient, name: str, source: ModelSource) -> str:
    """``name``, made from a corpus, or one with a digest behind it if that is the model of another ``source``. It is reserved in the registry."""
    owner = reserve(client, name, source)
    if owner == source.place:
        return name
    own = f"{name}-{hashlib.sha256(source.place.encode()).hexdigest()[:8]}"
    log.warning("%s is the model of %s; this one is registered as %s (--model-name chooses another)", name, owner, own)
    reserve(client, own, source)
    return own


def reserve(client: MlflowClient, name: str, source: ModelSource) -> str:
    """The place of the source to which the registered model ``name`` belongs: of ``source`` where it is new, or belongs to none yet."""
    try:
        client.create_registered_model(name, tags={"ulmfit": "classifier", **source.tags})
        return source.place
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = client.get_registered_model(name).tags
    if PLACE_TAG in tags and not source.is_that_of(tags):
        return tags[PLACE_TAG]
    for tag, value in source.tags.items():
        client.set_registered_model_tag(name, tag, value)
    return source.place
