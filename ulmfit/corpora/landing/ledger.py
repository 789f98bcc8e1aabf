"""The ledger of a model's landing: an append-only journal of what came when, and the documents themselves, kept for ever.

It lies in the artifact store, in ``.landed/FOLDER/``: ``journal/`` (see ``entries.py``), and a folder for each arrival with its raw parts.
The files of the landing folder may be deleted once they have landed. An arrival's entry is written last; without it nothing has
landed, and the next run reads the files again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ulmfit.config import PartsConfig
from ulmfit.corpora.landing.arriving import Reading, read_settled
from ulmfit.corpora.landing.entries import ENTRY, Arrival, Counts, Entry, LandedFile, SameContent, SetAside
from ulmfit.corpora.landing.landing import Landing, Looked
from ulmfit.corpora.landing.looking import Known, look
from ulmfit.corpora.landing.state import LandedState
from ulmfit.errors import UserError
from ulmfit.shards.mapping import Mapper, serial
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store
from ulmfit.store.journal import Journal, new_id, now
from ulmfit.store.names import folder_of

FOLDER = ".landed"  # in the store


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
        return Journal(filesystem.join(self.location, "journal"), ENTRY)

    def look(self, landing: Landing, settle_seconds: float) -> Looked:
        """What is new in the landing folder; see :func:`looking.look`. Nothing is written."""
        return look(landing, _known(self._entries(), landing.reading), settle_seconds)

    def state(self) -> LandedState:
        """All that has landed so far. UserError where an entry is damaged."""
        return LandedState.of(self.location, self.model, self._entries())

    def land(self, landing: Landing, looked: Looked, mapper: Mapper = serial, run_id: str | None = None) -> LandedNow:
        """Take in the files that a look found ready: read, judge and keep their rows, then note them in the ledger.

        What has landed since the look is not taken twice. A file that cannot be read is set aside in the ledger. Two at once: the second
        waits. UserError where reading fails for another reason than a file's content; then nothing has landed.
        """
        with self.lock():
            entries = self._entries()
            known = _known(entries, landing.reading)
            files = [file for file in looked.ready if file.content not in known.contents]
            same = [same for same in looked.same_content if (same.found.name, same.found.stamp) not in known.stamps]
            same_content = tuple(SameContent(name=s.found.name, stamp=s.found.stamp, content=s.found.content, of=s.of) for s in same)
            read, moved = read_settled(Reading(landing, self.location, self.limits, mapper), files, _names(entries))
            if not (read.files or read.set_aside or same_content):
                return LandedNow(None, moved)
            time = now()
            which = {"location": landing.location, "separator": landing.label_separator, "same_content": same_content}
            arrival = Arrival(id=new_id(time), time=time, run_id=run_id, **which, **vars(read))
            arrival = arrival.model_copy(update={"counts": self._counts(entries, arrival)})
            self.journal.append(arrival.id, arrival)
            return LandedNow(arrival, moved)

    def lock(self) -> AbstractContextManager[None]:
        """Those who write into the ledger do so one after the other."""
        return self.store.lock(f"landed-{folder_of(self.model)}")

    def _counts(self, before: Sequence[Entry], arrival: Arrival) -> Counts:
        """What an arrival brings to what was there before."""
        then, after = (LandedState.of(self.location, self.model, entries) for entries in (before, [*before, arrival]))
        return arrival.counts.model_copy(update=vars(after.new_since(then.part_names).change))

    def _entries(self) -> tuple[Entry, ...]:
        pages = self.journal.read()
        if pages.damaged:
            raise UserError(f"{pages.damaged[0]}: this entry of the ledger of {self.model} is damaged; bring it back from a copy")
        return pages.entries


def _known(entries: Iterable[Entry], reading: str) -> Known:
    stamps: set[tuple[str, str]] = set()
    contents: dict[str, str] = {}
    for arrival in entries:
        files: list[LandedFile | SameContent | SetAside] = [*arrival.files, *arrival.same_content]
        for file in [*files, *(file for file in arrival.set_aside if file.reading == reading)]:
            stamps.add((file.name, file.stamp))
            contents.setdefault(file.content, file.name)
    return Known(stamps, contents)


def _names(entries: Iterable[Entry]) -> Counter[str]:
    """How many files of each name have landed."""
    return Counter(file.name for arrival in entries for file in arrival.files)
