"""The ledger of a model's landing: an append-only journal of what came when, and the documents themselves, kept for ever.

It lies in the artifact store, in ``.landed/FOLDER/``: ``journal/`` (see ``entries.py``), and a folder for each arrival with its raw parts.
The files of the landing folder may be deleted once they have landed. An arrival's entry is written last; without it nothing has
landed, and the next run reads the files again.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np

from ulmfit.config import PartsConfig
from ulmfit.corpora.landing.arriving import Reading, read_settled
from ulmfit.corpora.landing.entries import (
    ENTRY,
    Arrival,
    Counts,
    Entry,
    Forgotten,
    LandedFile,
    Pinned,
    Removed,
    Rewritten,
    SameContent,
    SetAside,
)
from ulmfit.corpora.landing.landing import Landing, Looked
from ulmfit.corpora.landing.looking import Known, look
from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.corpora.landing.rewriting import rewrite
from ulmfit.corpora.landing.sides import Shares
from ulmfit.corpora.landing.state import LandedState
from ulmfit.corpora.text_digests import DIGEST, exact
from ulmfit.errors import UserError
from ulmfit.shards.mapping import Mapper, serial
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store
from ulmfit.store.digests import in_parallel
from ulmfit.store.journal import Journal, new_id, now
from ulmfit.store.names import folder_of

FOLDER, JOURNAL = ".landed", "journal"  # in the store, and in the ledger's folder


@dataclass(frozen=True)
class LandedNow:
    """What has landed in one go. ``arrival``: as it stands in the ledger, None where nothing was new.

    ``moved``: files that changed while they were read; they are left for the next time.
    """

    arrival: Arrival | None
    moved: tuple[str, ...] = ()

    @property
    def counts(self) -> Counts:
        """Files, rows, documents, labels, corrections and the rest."""
        return self.arrival.counts if self.arrival else Counts()

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Files that cannot be read."""
        return self.arrival.set_aside if self.arrival else ()


@dataclass(frozen=True)
class Forgot:
    """What was forgotten: the ``entry`` in the ledger, how many ``documents``, and how many ``rows`` in all that had landed.

    ``unknown``: the ids and digests of which nothing had landed; they are refused from now on as well.
    """

    entry: Forgotten
    documents: int
    rows: int
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Ledger:
    """What has landed for the model ``model``. ``limits``: of its parts."""

    store: Store
    model: str
    limits: PartsConfig = field(default_factory=PartsConfig)

    @property
    def location(self) -> str:
        """Its folder."""
        return filesystem.join(self.store.root, FOLDER, folder_of(self.model))

    @property
    def journal(self) -> Journal[Entry]:
        """Its entries."""
        return Journal(filesystem.join(self.location, JOURNAL), ENTRY)

    def look(self, landing: Landing, settle_seconds: float) -> Looked:
        """What is new in the landing folder; see :func:`looking.look`. Nothing is written."""
        return look(landing, _known(self._entries(), landing.reading), settle_seconds)

    def state(self) -> LandedState:
        """All that has landed so far. UserError where an entry is damaged."""
        entries: Sequence[Entry] = self._entries()
        if unfinished(entries):
            with self.lock():
                entries = self._finish(self._entries())
        return self._state(entries)

    def land(self, landing: Landing, looked: Looked, mapper: Mapper = serial, run_id: str | None = None) -> LandedNow:
        """Take in the files that a look found ready: read, judge and keep their rows, then note them in the ledger.

        What has landed since the look is not taken twice. A file that cannot be read is set aside in the ledger. Two at once: the second
        waits. UserError where reading fails for another reason than a file's content; then nothing has landed.
        """
        with self.lock():
            entries = self._finish(self._entries())
            known = _known(entries, landing.reading)
            files = [file for file in looked.ready if file.content not in known.contents]
            same = [same for same in looked.same_content if (same.found.name, same.found.stamp) not in known.stamps]
            same_content = tuple(SameContent(name=s.found.name, stamp=s.found.stamp, content=s.found.content, of=s.of) for s in same)
            read, moved = read_settled(
                Reading(landing, self.location, self.limits, mapper, Refusal.of(entries), looked.test), files, _names(entries)
            )
            if not (read.files or read.set_aside or read.test or same_content):
                return LandedNow(None, moved)
            time = now()
            which = {"location": landing.location, "separator": landing.label_separator, "same_content": same_content}
            arrival = Arrival(id=new_id(time), time=time, run_id=run_id, **which, **vars(read))
            arrival = arrival.model_copy(update={"counts": self._counts(entries, arrival)})
            self.journal.append(arrival.id, arrival)
            if not self.store.remote:  # there the lock keeps out nobody else, who may be writing
                self._sweep([*entries, arrival])
            return LandedNow(arrival, moved)

    def forget(self, ids: Iterable[str] = (), digests: Iterable[str] = (), *, because: str, by: str | None = None) -> Forgot:
        """Leave documents out from now on: those with these ids, and those whose text has one of these hex digests (folded or exact).

        All documents with the text of one of them are left out. Later arrivals of the same text or id are refused. The entry is
        written first; what an interruption leaves undone is done by the next ``state`` or ``land``. UserError for what is no digest.
        """
        names, asked = list(dict.fromkeys(ids)), [_checked(digest) for digest in dict.fromkeys(digests)]
        with self.lock():
            entries = self._finish(self._entries())
            state = self._state(entries)
            rows, documents = state.documents.rows, state.documents
            of_ids = Refusal(ids=frozenset(map(exact, names)))
            wanted = of_ids.among((), rows.ids) | Refusal(texts=frozenset(asked)).among((rows.facts.exact, rows.facts.fold), rows.ids)
            wanted = np.isin(rows.folds, rows.folds[wanted])
            there = {bytes(digest) for digests in (rows.ids, rows.facts.exact, rows.facts.fold) for digest in digests[wanted]}
            unknown = [name for name in names if exact(name) not in there] + [digest.hex() for digest in asked if digest not in there]
            time = now()
            entry = Forgotten(
                id=new_id(time),
                time=time,
                texts=tuple(sorted({*map(bytes.hex, asked), *(bytes(digest).hex() for digest in rows.facts.fold[wanted])})),
                ids=tuple(sorted(digest.hex() for digest in of_ids.ids)),
                because=because,
                by=by,
            )
            self.journal.append(entry.id, entry)
            self._finish([*entries, entry])
            return Forgot(entry, int((documents.live & wanted).sum()), int(wanted.sum()), tuple(unknown))

    def _finish(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Rewrite the parts that hold what is to be forgotten, and remove the older files; all entries then."""
        asked = unfinished(entries)
        if not asked:
            return entries
        state, done = self._state(entries), list(entries)
        rows = state.documents.rows
        parts, refused = np.concatenate([rows.part, rows.late.part]), np.concatenate([rows.refused, rows.late.refused])
        for number in np.unique(parts[refused]).tolist():
            part = state.parts[number]
            revision = sum(isinstance(entry, Rewritten) and entry.part == part.name for entry in entries) + 1
            rest = rewrite(self.location, part, ~refused[parts == number], f"{part.name}.{revision}")
            done.append(self._note(Rewritten, part=part.name, now=rest))
        self._sweep(done)
        done += [self._note(Removed, forgotten=entry.id) for entry in asked]
        return done

    def _note(self, kind: type[Entry], **facts: object) -> Entry:
        """Append an entry of this moment."""
        time = now()
        entry = kind.model_validate({"id": new_id(time), "time": time, **facts})
        self.journal.append(entry.id, entry)
        return entry

    def _sweep(self, entries: Sequence[Entry]) -> None:
        """Remove what no entry names: older forms of parts, and what interrupted runs have left."""
        named = {name for part in self._state(entries).parts for name in part.files}
        named |= {name for arrival in _arrivals(entries) for name in arrival.quarantine}
        stray = [name for name in filesystem.files(self.location) if name not in named and not name.startswith(f"{JOURNAL}/")]
        in_parallel(lambda name: filesystem.remove(filesystem.join(self.location, name)), stray)

    def lock(self) -> AbstractContextManager[None]:
        """Those who write into the ledger do so one after the other."""
        return self.store.lock(f"landed-{folder_of(self.model)}")

    def _counts(self, before: Sequence[Entry], arrival: Arrival) -> Counts:
        """What an arrival brings to what was there before."""
        then, after = self._state(before), self._state([*before, arrival])
        return arrival.counts.model_copy(update=vars(after.new_since(then.part_names).change))

    def pin(self, shares: Shares) -> None:
        """Fix the shares of the sides test and valid for ever. UserError where they are fixed already, and others."""
        with self.lock():
            self._state(self._entries()).check(shares)
            if not any(isinstance(entry, Pinned) for entry in self._entries()):
                self._note(Pinned, shares=shares)

    def _state(self, entries: Sequence[Entry]) -> LandedState:
        return LandedState.of(self.location, self.model, entries)

    def _entries(self) -> tuple[Entry, ...]:
        pages = self.journal.read()
        if pages.damaged:
            where = pages.damaged[0] if self.store.remote else os.path.realpath(pages.damaged[0])  # of a dry run's copy, which has links
            raise UserError(f"{where}: this entry of the ledger of {self.model} is damaged; bring it back from a copy")
        return pages.entries


def unfinished(entries: Iterable[Entry]) -> list[Forgotten]:
    """What is asked to be forgotten, but has not been removed from the parts."""
    done = {entry.forgotten for entry in entries if isinstance(entry, Removed)}
    return [entry for entry in entries if isinstance(entry, Forgotten) and entry.id not in done]


def _checked(digest: str) -> bytes:
    try:
        found = bytes.fromhex(digest)
    except ValueError:
        found = b""
    if len(found) != DIGEST:
        raise UserError(f"{digest!a}: this is no digest of a text; it has {2 * DIGEST} hexadecimal digits")
    return found


def _known(entries: Iterable[Entry], reading: str) -> Known:
    stamps: set[tuple[str, str]] = set()
    contents: dict[str, str] = {}
    aside: dict[tuple[str, str], str] = {}
    for arrival in _arrivals(entries):
        files: list[LandedFile | SameContent | SetAside] = [*arrival.files, *arrival.same_content]
        for file in [*files, *(file for file in arrival.set_aside if file.reading == reading)]:
            stamps.add((file.name, file.stamp))
            contents.setdefault(file.content, file.name)
            if isinstance(file, SetAside):
                aside[file.name, file.stamp] = file.reason
    tests = [arrival.test.content.partition(":")[0] for arrival in _arrivals(entries) if arrival.test]
    return Known(stamps, contents, tests[-1] if tests else None, aside)


def _arrivals(entries: Iterable[Entry]) -> list[Arrival]:
    return [entry for entry in entries if isinstance(entry, Arrival)]


def _names(entries: Iterable[Entry]) -> Counter[str]:
    """How many files of each name have landed."""
    return Counter(file.name for arrival in _arrivals(entries) for file in arrival.files)
