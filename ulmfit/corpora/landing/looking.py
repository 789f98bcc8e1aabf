"""Looks into a landing folder: which files are new, and which are still being written."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ulmfit.corpora.landing.landing import Found, Landing, Looked, Same, content_of
from ulmfit.corpora.reading.folders import UNKNOWN, survey
from ulmfit.corpora.reading.rows import name_in
from ulmfit.errors import UserError
from ulmfit.store import filesystem, s3

UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp", ".uploading", ".inprogress", "~")
DONE, WRITING = "_SUCCESS", "_temporary"  # how Hadoop and Spark say that a folder is complete, or being written
OUTSIDE = "links that lead out of the folder"
READERS = 8  # files that are hashed at a time


@dataclass(frozen=True)
class Known:
    """What the ledger knows: (name, stamp) of files; content -> the name of the file that has it; the SHA-256 of the ``test`` file.

    ``aside``: (name, stamp) of files that could not be read -> why.
    """

    stamps: Collection[tuple[str, str]]
    contents: Mapping[str, str]
    test: str | None
    aside: Mapping[tuple[str, str], str] = field(default_factory=dict)


def look(landing: Landing, known: Known, settle_seconds: float) -> Looked:
    """What is new in the folder. A file is ready if two looks, ``settle_seconds`` apart, find the same size and times.

    They are that far apart only where a file is new. UserError where there is no such folder, or it may not be read.
    """
    root = landing.location
    _check_folder(root)
    found = survey(root)
    left = {reason: list(names) for reason, names in found.left.items()}
    still = {name: "its name says that it is being written" for name in left.get(UNKNOWN, ()) if name.lower().endswith(UNFINISHED)}
    left[UNKNOWN] = [name for name in left.get(UNKNOWN, ()) if name not in still]
    left[OUTSIDE] = _leading_out(root, found.read)
    names = [name for name in found.read if _is_text(name) and name not in left[OUTSIDE]]
    left["names that are no UTF-8"] = [name for name in found.read if not _is_text(name)]
    before = filesystem.stamps(root)
    new = [name for name in names if name in before and (name, before[name]) not in known.stamps]
    still |= _unfinished(new, before)
    new = [name for name in new if name not in still]
    if new and settle_seconds > 0:
        time.sleep(settle_seconds)
    after = filesystem.stamps(root) if new else before
    still |= {name: f"it has changed within {settle_seconds:g} s" for name in new if after.get(name) != before[name]}
    still |= {name: "it is empty so far" for name in new if not found.read[name]}
    settled = [name for name in new if name not in still]
    with ThreadPoolExecutor(READERS) as pool:
        digests = list(pool.map(lambda name: _digest(filesystem.join(root, name)), settled))
    still |= {name: digest.reason for name, digest in zip(settled, digests, strict=True) if isinstance(digest, _Unread)}
    hashed = [
        Found(name, found.read[name], before[name], content_of(name, digest))
        for name, digest in zip(settled, digests, strict=True)
        if isinstance(digest, str)
    ]
    ready, same = _told_apart(hashed, known.contents)
    return Looked(
        ready=tuple(ready),
        still_written=dict(sorted(still.items())),
        same_content=tuple(same),
        left={reason: those for reason, those in left.items() if those},
        known=sum((name, before.get(name)) in known.stamps for name in names),
        set_aside={name: known.aside[there] for name in names if (there := (name, before.get(name, ""))) in known.aside},
        test=_test_file(landing.test, known) if landing.test else None,
    )


def _test_file(location: str, known: Known) -> Found | None:
    """The file of test documents, unless it is the one that counts already."""
    if not filesystem.exists(location) or filesystem.is_folder(location):
        raise UserError(f"{location}: there is no such file; --test takes a file of test documents")
    name, sha256 = name_in(location, location), filesystem.sha256(location)
    return None if known.test == sha256 else Found(name, filesystem.size(location), "", content_of(name, sha256))


def _check_folder(root: str) -> None:
    if filesystem.is_folder(root) or (filesystem.is_remote(root) and not filesystem.exists(root) and s3.has_bucket(root)):
        return
    if filesystem.exists(root):
        raise UserError(f"{root}: this is a file; --landing takes the folder into which files are put")
    raise UserError(f"{root}: there is no such folder; make it, or correct --landing")


def _leading_out(root: str, names: Iterable[str]) -> list[str]:
    """Names of links to what is not in the folder: whoever may put files there must not choose what else is read."""
    if filesystem.is_remote(root):
        return []
    inside = os.path.join(os.path.realpath(root), "")
    return [name for name in names if not os.path.realpath(os.path.join(root, name)).startswith(inside)]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unfinished(names: Iterable[str], there: Collection[str]) -> dict[str, str]:
    """Name -> why not yet, of files in folders that are being written."""
    folders = {name: list(_around(name)) for name in names}
    done = {name.rpartition("/")[0] for name in there if name.rpartition("/")[2] == DONE}
    writing = {name.partition(f"{WRITING}/")[0].rstrip("/") for name in there if f"/{WRITING}/" in f"/{name}"}
    careful = {folder.rpartition("/")[0] for folder in done if folder}  # folders whose folders get a mark when they are complete
    reasons = {}
    for name, around in folders.items():
        if writing.intersection(around):
            reasons[name] = f"its folder holds {WRITING}, so it is being written"
        elif not done.intersection(around) and any(folder and folder.rpartition("/")[0] in careful for folder in around):
            reasons[name] = f"its folder has no {DONE} yet, which others beside it have"
    return reasons


def _around(name: str) -> Iterator[str]:
    """The folders around a file, the innermost first; the last is "", the root."""
    while name:
        name = name.rpartition("/")[0]
        yield name


@dataclass(frozen=True)
class _Unread:
    reason: str


def _digest(location: str) -> str | _Unread:
    try:
        return filesystem.sha256(location)
    except FileNotFoundError:
        return _Unread("it has gone")
    except OSError as error:
        return _Unread(f"it may not be read ({error.strerror})")


def _told_apart(hashed: Iterable[Found], contents: Mapping[str, str]) -> tuple[list[Found], list[Same]]:
    """Files that are new by content, and those whose content is known, or that of a file before."""
    names = dict(contents)
    ready, same = [], []
    for file in hashed:
        if file.content in names:
            same.append(Same(file, names[file.content]))
        else:
            names[file.content] = file.name
            ready.append(file)
    return ready, same
