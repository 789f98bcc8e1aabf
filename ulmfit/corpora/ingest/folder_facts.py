"""Tells what was read of the folders of a source, and what was left and why."""

import logging
import re
from collections import Counter

from ulmfit.corpora.catalog.entries import CATALOG
from ulmfit.corpora.corpus_record import FolderFacts, Left
from ulmfit.corpora.quality.quality_record import Findings
from ulmfit.corpora.reading.folders import HIDDEN, NOTE, Contents, contents
from ulmfit.corpora.reading.formats import format_of
from ulmfit.corpora.reading.paths import SPLIT_NAMES, label_of, outer_folders, split_of
from ulmfit.corpora.source import CorpusSource
from ulmfit.store import filesystem

log = logging.getLogger(__name__)

QUIET = (HIDDEN, NOTE)  # reasons that are expected
NAMES = 20  # of files left for a reason that the record holds
HELD_OUT = {name for name, split in SPLIT_NAMES.items() if split in ("valid", "test")}
SHOWN = 3  # and that a line shows


def told_folders(source: CorpusSource, labelled: bool, findings: Findings) -> tuple[FolderFacts, ...]:
    """The facts of the folders of ``source``. They are logged, and what is left unexpectedly becomes a warning."""
    folders = [place for _, place, _ in source.locations() if place not in CATALOG and filesystem.is_folder(place)]
    return tuple(_told(place, contents(place), labelled, findings) for place in folders)


def _told(location: str, found: Contents, labelled: bool, findings: Findings) -> FolderFacts:
    name = location.rstrip("/").rpartition("/")[2] or location
    formats, splits = Counter(map(format_of, found.read)), Counter(_split(file) or "no split of their own" for file in found.read)
    counted = ", ".join(f"{count} {what}" for counts in (formats, splits) for what, count in sorted(counts.items()))
    log.info("%s: %d files are read: %s", name, len(found.read), counted)
    for reason, left in found.left.items():
        message = f"{name}: {len(left)} left ({reason}): {_listed(left)}"
        log.info("%s", message) if reason in QUIET else findings.warn(message)
    documents = [file for file in found.read if format_of(file) == ".txt"]
    outer = sorted({folder for file in documents for folder in outer_folders(file)})
    classes = {label_of(file)[1] for file in documents}
    if labelled and (len(outer) > 1 or classes.intersection(outer)):
        findings.warn(f"{name}: the labels are the names of the innermost folders; those around them are none: {_listed(outer)}")
    unsplit = [file for file in found.read if _split(file) is None and _words(file) & HELD_OUT]
    if unsplit:
        findings.warn(
            f"{name}: read as training rows, for the name of the split does not come first: {_listed(unsplit)}; "
            f"let the file's name begin with it, or that of its folder be it"
        )
    return FolderFacts(
        location=location,
        read=len(found.read),
        left={reason: Left(files=len(left), first=tuple(map(_printable, left[:NAMES]))) for reason, left in found.left.items()},
    )


def _split(file: str) -> str | None:
    return label_of(file)[0] if format_of(file) == ".txt" else split_of(file)


def _words(file: str) -> set[str]:
    """The words in the names of a table and the folders around it; of a document, whose name is its own, none."""
    return set() if format_of(file) == ".txt" else set(re.split(r"[\W_]+", file.lower()))


def _listed(names: list[str]) -> str:
    return ", ".join(map(_printable, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _printable(name: str) -> str:
    """A name that can be written and takes one line: it may hold line breaks, or bytes that are no UTF-8."""
    return name if name.isprintable() else ascii(name)[1:-1]
