"""The entries of a ledger. They are never changed; what is true now follows from all of them, in the order of time."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, TypeAdapter

from ulmfit.corpora.landing.sides import Shares
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.store.digests import StoredFile
from ulmfit.store.json import Facts, SparseFacts


class LandedFile(Facts):
    """A file that landed, the one with the ``number`` of its arrival.

    ``named``: what ids of its rows begin with, where they have none of their own; ``labels``: rows that are a label for an id, without a
    text; ``quarantined``: reason -> rows.
    """

    number: int
    name: str
    named: str
    stamp: str
    content: str
    rows: int
    documents: int
    labels: int
    quarantined: dict[str, int]


class SameContent(Facts):
    """A file that is not counted, for ``of`` has, or had, the same content."""

    name: str
    stamp: str
    content: str
    of: str


class SetAside(Facts):
    """A file that cannot be read, and why. It is tried again when its content changes, or ``reading``: how it is read."""

    name: str
    stamp: str
    content: str
    reading: str
    reason: str


class LandedPart(Facts):
    """Documents that landed together, or ``labels`` for ids without a text.

    ``name``: for ever; ``stem``: what the names of its ``files`` begin with, in the ledger's folder. ``test``: of the test file.
    """

    name: str
    stem: str
    documents: int
    labels: int = 0
    test: bool = False
    files: dict[str, StoredFile]
    measured: Measurements


class Counts(Facts):
    """What an arrival brought. ``documents``: texts not known before; ``labels``: documents that got their first label.

    ``corrections``: documents whose label is another since; ``superseded``: texts that a newer text of the same id has replaced;
    ``duplicates``: rows whose text was known; ``waiting``: labels for ids of which no text has come yet.
    """

    files: int = 0
    rows: int = 0
    documents: int = 0
    labels: int = 0
    duplicates: int = 0
    corrections: int = 0
    superseded: int = 0
    waiting: int = 0
    with_nul: int = 0
    quarantined: dict[str, int] = Field(default_factory=dict)


class Arrival(SparseFacts):
    """Files that landed together from ``location``: which, what they became, by which tracked run. ``separator``: of labels in them.

    ``parts``, and the rows set aside (``quarantine``: files), lie in the ledger's folder. ``test``: a file of test documents; it takes the
    place of an earlier one.
    """

    entry: Literal["arrival"] = "arrival"
    id: str
    time: AwareDatetime
    run_id: str | None = None
    location: str
    separator: str | None = None
    files: tuple[LandedFile, ...]
    parts: tuple[LandedPart, ...]
    quarantine: tuple[str, ...]
    same_content: tuple[SameContent, ...]
    set_aside: tuple[SetAside, ...]
    test: LandedFile | None = None
    counts: Counts


class Forgotten(SparseFacts):
    """Documents to be left out from now on, and not to be taken again: hex digests of texts (folded or exact) and of ids.

    Of what is forgotten nothing else is kept. ``because`` and ``by``: why, and who asked for it.
    """

    entry: Literal["forgotten"] = "forgotten"
    id: str
    time: AwareDatetime
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    because: str
    by: str | None = None


class Rewritten(SparseFacts):
    """The part ``part`` without what is to be forgotten; ``now`` is None where nothing of it is left."""

    entry: Literal["rewritten"] = "rewritten"
    id: str
    time: AwareDatetime
    part: str
    now: LandedPart | None = None


class Removed(SparseFacts):
    """All that held what the entry ``forgotten`` names has been rewritten, and the older files removed."""

    entry: Literal["removed"] = "removed"
    id: str
    time: AwareDatetime
    forgotten: str


class Pinned(SparseFacts):
    """The shares of the documents on the sides test and valid, for ever."""

    entry: Literal["pinned"] = "pinned"
    id: str
    time: AwareDatetime
    shares: Shares


Entry = Annotated[Arrival | Forgotten | Rewritten | Removed | Pinned, Field(discriminator="entry")]
ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)
