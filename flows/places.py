"""What a request that arrives at a deployment may name. On the command line a person names whatever they may read; a request comes from
whoever can start a run, and is read with the rights of the worker.

``ULMFIT_PLACES`` of a worker lists folders, ``s3://BUCKET/FOLDER`` and ``https://HOST/FOLDER``, with white space between: nothing outside of
them is read or written, but for the worker's own workspace, artifacts and corpora. Without it a folder of the system, a hidden folder of
the home, ``http://``, a host that is not of the open network, every other scheme, and a Dask scheduler in the open network are refused.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel

from flows.request import ScoreRequest
from ulmfit.corpora.catalog.entries import CATALOG as CORPORA
from ulmfit.errors import UserError
from ulmfit.pretrained.catalog import CATALOG as MODELS
from ulmfit.store.filesystem import absolute, is_remote
from ulmfit.store.redirects import is_private, is_public

VARIABLE = "ULMFIT_PLACES"
OWN = ("ULMFIT_HOME", "ULMFIT_ARTIFACTS", "ULMFIT_DATA")  # variables that name a worker's own places
SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/lib", "/var/log", "/var/run")
FIELDS = (
    *("corpus", "more", "test", "unlabelled", "pretrain", "pretrained", "landing", "policy", "dataset"),  # that are read
    *("workspace", "out", "export", "artifacts", "output"),  # that are written
)
SOURCE = ("source", "more", "test", "unlabelled")  # of the text of a stage that is sent


def check_places(request: BaseModel) -> None:
    """UserError where the request names what it may not. For the flows of deployments; no other way leads to them."""
    scheduler = getattr(request, "dask", None)
    if scheduler and not scheduler.isdecimal() and (fault := refused_scheduler(scheduler)):
        raise UserError(f"dask: {scheduler!r}: a request may not name it: {fault}")
    for field, place in _named(request):
        if fault := refusal(place):
            raise UserError(f"{field}: {place!r}: a request may not name it: {fault}")


def refused_scheduler(address: str) -> str | None:
    """Why a Dask scheduler may not be named; None where it may. A worker believes what a scheduler tells it, code included."""
    listed = os.environ.get(VARIABLE)
    if listed is not None:
        return None if address in listed.split() else f"it is not in the {VARIABLE} of this worker"
    try:
        host = urlsplit(address if "://" in address else f"tcp://{address}").hostname
    except ValueError:
        host = None
    return None if host and is_private(host) else f"it is not a host of the inner network alone; list it in {VARIABLE} where it is meant"


def _named(request: BaseModel) -> Iterator[tuple[str, str]]:
    """Fields and the places in them."""
    yield from _places({field: getattr(request, field, None) for field in FIELDS})
    model = getattr(request, "model", None)
    if isinstance(model, str) and not model.startswith("models:/") and ("/" in model or isinstance(request, ScoreRequest)):
        yield "model", model  # no name in the registry, but a folder
    arguments = getattr(request, "arguments", None) or {}
    source = arguments.get("source")
    if isinstance(source, dict):
        yield from _places({f"source.{field}": source.get(field) for field in SOURCE})


def _places(values: dict[str, object]) -> Iterator[tuple[str, str]]:
    for field, value in values.items():
        of_text = field.endswith(("corpus", "more", "pretrain", "source"))
        known: Collection[str] = CORPORA if of_text else MODELS if field == "pretrained" else ()
        for place in value if isinstance(value, list | tuple) else [value]:
            if isinstance(place, str) and place not in known:
                yield field, place


def refusal(place: str) -> str | None:
    """Why a place may not be named; None where it may."""
    if "\0" in place:
        return "no name of a place has such letters"
    listed = os.environ.get(VARIABLE)
    own = [found for name in OWN if (found := os.environ.get(name))]
    if any(_inside(place, folder) for folder in (*own, *(listed or "").split())):
        return None
    if listed is not None:
        return f"it is not in the {VARIABLE} of this worker"
    scheme, separator, _ = place.partition("://")
    if is_remote(place):
        return None
    if separator:
        return _refused_url(scheme, place)
    path = _real(place)
    home = Path(os.path.realpath(os.path.expanduser("~")))  # as the path: links followed
    hidden = path.is_relative_to(home) and path.relative_to(home).parts[:1]
    if any(path.is_relative_to(each) for folder in SYSTEM for each in (folder, _real(folder))) or (
        hidden and hidden[0].startswith(".") and hidden[0] != ".ulmfit"
    ):
        return f"it is a folder of the system, or a hidden one; list it in {VARIABLE} where it is meant"
    return None


def _refused_url(scheme: str, url: str) -> str | None:
    if scheme != "https":
        return "of schemes, s3:// and https:// alone are read"
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return None if host and is_public(host) else f"its host is not of the open network; list it in {VARIABLE} where it is meant"


def _inside(place: str, folder: str) -> bool:
    """Whether a place is that folder, or in it."""
    if "://" in place or "://" in folder:
        inside = f"{place.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
        return inside and not {"..", "."}.intersection(place.split("/")) and not any(mark in place for mark in "\\?#%@")
    return _real(place).is_relative_to(_real(folder))


def _real(place: str) -> Path:
    """The path with all links followed, in full."""
    return Path(os.path.realpath(absolute(place)))
