"""What is known of a finished corpus: the content of ``corpus.json`` and of the corpus artifact's record."""

from typing import Self

from ulmfit.config import CorpusConfig
from ulmfit.corpora.quality.quality_record import Quality, SplitQuality
from ulmfit.store.json import Facts, SparseFacts


class SplitFacts(Facts):
    """A split: its documents, their characters, and label -> documents."""

    documents: int
    characters: int
    labels: dict[str, int]

    @classmethod
    def of(cls, split: SplitQuality) -> Self:
        """The same split, without lengths and shares."""
        labels = {label: share.documents for label, share in split.labels.items()}
        return cls(documents=split.documents, characters=split.characters, labels=labels)


class PartFacts(Facts):
    """A part of the corpus, the file ``{name}.parquet``.

    A long document is several ``rows``. ``texts``: SHA-256 over the digests of the documents' texts, in order: all that a tokenizer sees.
    """

    name: str
    documents: int
    rows: int
    characters: int
    texts: str


class Left(Facts):
    """``files`` of a folder that are not read; ``first``: the names of some."""

    files: int
    first: tuple[str, ...]


class FolderFacts(Facts):
    """What was read of a folder: ``read`` files; ``left``: reason -> files that were not."""

    location: str
    read: int
    left: dict[str, Left]


class CorpusRecord(SparseFacts):
    """The facts of a corpus. ``corpus.json`` lacks the last five, and so may an artifact.

    ``digest``: see ``Decided.digest``. ``labels``: the label strings, sorted; ``label_names``: the labels in them, where a document may
    have several. ``quarantined``: reason -> rows. ``source``, ``more``: what the user named. ``settings``: of splits and samples. ``folders``: those
    that were read, if any.
    """

    name: str
    digest: str
    labels: tuple[str, ...]
    label_names: tuple[str, ...] | None = None
    splits: dict[str, SplitFacts]
    parts: tuple[PartFacts, ...]
    quarantined: dict[str, int]
    duplicates: int
    overlap_removed: int
    warnings: tuple[str, ...]
    source: str | None = None
    more: tuple[str, ...] | None = None
    settings: CorpusConfig | None = None
    quality: Quality | None = None
    folders: tuple[FolderFacts, ...] | None = None

    def new_since(self, earlier: "CorpusRecord") -> tuple[str, ...]:
        """The names of the parts whose texts no part of an ``earlier`` corpus has, whatever it is called there."""
        known = {part.texts for part in earlier.parts}
        return tuple(part.name for part in self.parts if part.texts not in known)
