"""All that has landed for a model, as it is now: the parts, the documents in them, their labels, and where each came from."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa

from ulmfit.config import CorpusConfig
from ulmfit.corpora.landing.documents import Change, Documents, change, read_rows, relabelled, resolve
from ulmfit.corpora.landing.entries import Arrival, Entry, LandedFile, LandedPart, Pinned, Rewritten
from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.corpora.landing.sides import Shares
from ulmfit.corpora.text_digests import exact
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile, is_intact
from ulmfit.store.recipe import canonical_json


def _files(arrival: Arrival) -> list[LandedFile]:
    """All files of an arrival."""
    return [*arrival.files, *filter(None, [arrival.test])]


@dataclass(frozen=True)
class News:
    """What has come since an earlier state. ``parts``: names of the new parts; ``oldest``: when the first of them came, None where there is none."""

    change: Change
    parts: tuple[str, ...]
    oldest: datetime | None

    @property
    def documents(self) -> int:
        """Texts that were not known."""
        return self.change.documents

    @property
    def labels(self) -> int:
        """Documents with a label that is new, the first one or a correction."""
        return self.change.labels + self.change.corrections


@dataclass(frozen=True)
class Correction:
    """A document's label that another took the place of. ``text``: the hex digest of its folded text; ``time``, ``file``: when and in which the later one came."""

    text: str
    before: str
    after: str
    time: datetime
    file: str


@dataclass(frozen=True)
class Origins:
    """Where N documents come from. ``arrival``: int64 [N], an index of ``LandedState.arrivals``; ``file``: int64 [N], of ``LandedState.files``.

    Both are -1 for a document that is not known.
    """

    arrival: np.ndarray
    file: np.ndarray


@dataclass(frozen=True)
class LandedState:
    """What the ledger in the folder ``location`` holds for ``model``.

    ``parts``: those that hold documents, in the order of their arrival; ``part_arrivals``: for each the index of its arrival. ``refusal``:
    what is forgotten; ``shares``: of the sides, once they are known.
    """

    location: str
    model: str
    arrivals: tuple[Arrival, ...]
    parts: tuple[LandedPart, ...]
    part_arrivals: tuple[int, ...]
    refusal: Refusal
    shares: Shares | None

    @classmethod
    def of(cls, location: str, model: str, entries: Sequence[Entry]) -> Self:
        """The state that follows from all entries of a ledger."""
        arrivals = tuple(entry for entry in entries if isinstance(entry, Arrival))
        found: dict[str, tuple[LandedPart | None, int]] = {}  # two machines may have taken in the same files at once
        for number, arrival in enumerate(arrivals):
            for part in arrival.parts:
                found.setdefault(part.name, (part, number))
        for entry in entries:
            if isinstance(entry, Rewritten) and entry.part in found:
                found[entry.part] = entry.now, found[entry.part][1]
        tests = [number for number, arrival in enumerate(arrivals) if arrival.test]
        pairs = [(part, number) for part, number in found.values() if part and not (part.test and number != tests[-1])]
        shares = next((entry.shares for entry in entries if isinstance(entry, Pinned)), None)
        parts, numbers = tuple(part for part, _ in pairs), tuple(number for _, number in pairs)
        return cls(location, model, arrivals, parts, numbers, Refusal.of(entries), shares)

    def shares_by(self, config: CorpusConfig) -> Shares:
        """The shares that the settings ask for; where there is a file of test documents, no others are for testing."""
        shares = Shares.of(config)
        return shares.model_copy(update={"test": 0.0}) if any(arrival.test for arrival in self.arrivals) else shares

    def check(self, shares: Shares) -> None:
        """UserError unless the sides are shared out by ``shares``, or not yet."""
        if self.shares and shares != self.shares and bool(shares.test) != bool(self.shares.test):
            raise UserError(
                f"{self.model}: its documents have their sides for ever, and at first it had "
                f"{'no file of test documents' if self.shares.test else 'one'}; begin a model of another name"
            )
        if self.shares is not None and shares != self.shares:
            raise UserError(
                f"{self.model}: its documents have their sides for ever, by corpus.test_share={self.shares.test:g} and "
                f"corpus.valid_share={self.shares.valid:g}; set these again, or begin a model of another name"
            )

    @property
    def digest(self) -> str:
        """Identifies what landed: SHA-256 over the parts' files, in order."""
        files = [sorted((name, file.sha256) for name, file in part.files.items()) for part in self.parts]
        return hashlib.sha256(canonical_json(files)).hexdigest()

    @cached_property
    def _first_files(self) -> list[int]:
        """For each arrival the number, over all arrivals, of its first file."""
        counts = [max((file.number for file in _files(arrival)), default=-1) + 1 for arrival in self.arrivals]
        return [0, *np.cumsum(counts, dtype=int).tolist()]

    @cached_property
    def files(self) -> dict[int, LandedFile]:
        """All files that landed, by their number over all arrivals."""
        return {
            first + file.number: file for arrival, first in zip(self.arrivals, self._first_files, strict=False) for file in _files(arrival)
        }

    @cached_property
    def documents(self) -> Documents:
        """Every row in the parts, in their order, and which of them are documents now. UserError where a file of theirs is damaged."""
        firsts = [self._first_files[number] for number in self.part_arrivals]
        sizes = filesystem.files(self.location)
        self._refuse_damaged(lambda name, stored: sizes.get(name) == stored.bytes)
        try:
            return resolve(read_rows(self.location, self.parts, firsts, self.refusal))
        except (pa.ArrowException, UserError, KeyError):
            self._refuse_damaged(lambda name, stored: is_intact(filesystem.join(self.location, name), stored.sha256))
            raise

    def _refuse_damaged(self, whole: Callable[[str, StoredFile], bool]) -> None:
        """UserError for the first file of the parts that is not ``whole``."""
        damaged = next((name for part in self.parts for name, stored in part.files.items() if not whole(name, stored)), None)
        if damaged:
            raise UserError(
                f"{filesystem.join(self.location, damaged)}: a file of what landed for {self.model} is damaged; bring it back from a copy"
            )

    @property
    def landing(self) -> str:
        """Where the text comes from: the last landing folder, or the model's name where nothing has landed."""
        return self.arrivals[-1].location if self.arrivals else self.model

    @property
    def separator(self) -> str | None:
        """What stands between several labels of a document."""
        return self.arrivals[-1].separator if self.arrivals else None

    @property
    def quarantine(self) -> tuple[str, ...]:
        """The files of rows that were set aside, in the ledger's folder."""
        return tuple(name for arrival in self.arrivals for name in arrival.quarantine)

    @property
    def last(self) -> datetime | None:
        """When something landed last."""
        return self.arrivals[-1].time if self.arrivals else None

    def new_since(self, parts: Collection[str]) -> News:
        """What has come in other parts than ``parts``, the names of those that an earlier state had."""
        known = set(parts)
        new = [number for number, part in enumerate(self.parts) if part.name not in known]
        rows = self.documents.rows
        times = [self.arrivals[self.part_arrivals[number]].time for number in new]
        return News(change(rows, new), tuple(self.parts[number].name for number in new), min(times, default=None))

    @property
    def part_names(self) -> tuple[str, ...]:
        """The names of the parts, for a later ``new_since``."""
        return tuple(part.name for part in self.parts)

    def origins(self, ids: Sequence[str]) -> Origins:
        """Where the documents with these ids, as corpora have them, come from."""
        rows, live = self.documents.rows, np.flatnonzero(self.documents.live)
        place = {pair: row for row, pair in zip(live.tolist(), map(bytes, rows.ids[live]), strict=True)}
        found = np.array([place.get(exact(name), -1) for name in ids], np.int64)
        arrivals = np.array([*self.part_arrivals, -1], np.int64)[np.append(rows.part, -1)[found]]
        return Origins(arrivals, np.append(rows.file, -1)[found].astype(np.int64))

    @property
    def corrections(self) -> list[Correction]:
        """All labels that others took the place of, in the order in which these came. The parts keep both."""
        rows, found = self.documents.rows, relabelled(self.documents)
        arrivals = np.searchsorted(self._first_files, found.file, side="right") - 1
        columns = zip(
            rows.facts.fold[found.row], found.before.tolist(), found.after.tolist(), arrivals.tolist(), found.file.tolist(), strict=True
        )
        names = rows.facts.labels
        return [
            Correction(digest.tobytes().hex(), names[before], names[after], self.arrivals[arrival].time, self.files[file].name)
            for digest, before, after, arrival, file in columns
        ]
