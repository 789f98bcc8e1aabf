"""Looks into a landing folder: which files are new, and which are still being written."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
    names = _Names.of(root)
    stamps = filesystem.stamps(root)
    here = {name: (name, stamps[name]) for name in names.sizes if name in stamps}
    new = {name: stamps[name] for name, file in here.items() if file not in known.stamps}
    still = names.being_written | _in_unfinished_folders(new, stamps)
    new = {name: stamp for name, stamp in new.items() if name not in still}
    still |= _unsettled(root, new, settle_seconds)
    still |= {name: "it is empty so far" for name in new if not names.sizes[name]}
    settled = [name for name in new if name not in still]
    digests, unreadable = _digests(root, settled)
    hashed = [Found(name, names.sizes[name], new[name], content_of(name, digest)) for name, digest in digests.items()]
    ready, same = _told_apart(hashed, known.contents)
    return Looked(
        ready=tuple(ready),
        still_written=dict(sorted((still | unreadable).items())),
        same_content=tuple(same),
        left=names.left,
        known=sum(file in known.stamps for file in here.values()),
        set_aside={name: known.aside[file] for name, file in here.items() if file in known.aside},
        test=_test_file(landing.test, known) if landing.test else None,
    )


@dataclass(frozen=True)
class _Names:
    """The files of a folder, as far as their names and sizes tell.

    ``sizes``: bytes of the files that may be read; ``being_written``: name -> why it is left alone for now; ``left``: reason -> names of
    what is never read.
    """

    sizes: dict[str, int]
    being_written: dict[str, str]
    left: dict[str, list[str]]

    @classmethod
    def of(cls, root: str) -> "_Names":
        found = survey(root)
        unknown = found.left.get(UNKNOWN, ())
        unfinished = [name for name in unknown if name.lower().endswith(UNFINISHED)]
        not_text = [name for name in found.read if not _is_text(name)]
        outside = _leading_out(root, found.read)
        refused = {*not_text, *outside}
        left = {reason: list(names) for reason, names in found.left.items()}
        left[UNKNOWN] = [name for name in unknown if name not in unfinished]
        left[OUTSIDE] = outside
        left["names that are no UTF-8"] = not_text
        return cls(
            sizes={name: size for name, size in found.read.items() if name not in refused},
            being_written={name: "its name says that it is being written" for name in unfinished},
            left={reason: names for reason, names in left.items() if names},
        )


def _unsettled(root: str, stamps: Mapping[str, str], settle_seconds: float) -> dict[str, str]:
    """Name -> why not yet, of files whose size and times are others after ``settle_seconds``."""
    if not stamps:
        return {}
    if settle_seconds > 0:
        time.sleep(settle_seconds)
    after = filesystem.stamps(root)
    return {name: f"it has changed within {settle_seconds:g} s" for name, stamp in stamps.items() if after.get(name) != stamp}


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


def _in_unfinished_folders(names: Iterable[str], there: Collection[str]) -> dict[str, str]:
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


def _digests(root: str, names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Name -> SHA-256 of the file; and name -> why not, of files that cannot be read."""
    digests, unreadable = {}, {}
    with ThreadPoolExecutor(READERS) as pool:
        readings = {name: pool.submit(filesystem.sha256, filesystem.join(root, name)) for name in names}
    for name, reading in readings.items():
        try:
            digests[name] = reading.result()
        except FileNotFoundError:
            unreadable[name] = "it has gone"
        except OSError as error:
            unreadable[name] = f"it may not be read ({error.strerror})"
    return digests, unreadable


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
