"""What ingest counts of a corpus's documents: rows set aside, duplicates, overlap of splits, and the documents of each split."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


@dataclass
class Findings:
    """What the checks find, in documents where nothing else is said.

    ``quarantined``: reason -> rows. ``overlap``: for a pair such as train/test, the documents of the judging split (test) that also
    stand in the other. ``documents``: of each split, before overlap is removed and samples are drawn.
    """

    rows: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    with_nul: int = 0
    duplicates: int = 0
    folded_duplicates: int = 0
    conflicting_labels: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    overlap: dict[str, int] = field(default_factory=dict)
    overlap_removed: int = 0
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Log a warning and keep it for the corpus's record."""
        self.warnings.append(message)
        log.warning("%s", message)


@dataclass(frozen=True)
class SplitCounts:
    """A split of the finished corpus. ``labels``: label -> documents; ``lengths``: see ``measuring.histogram``.

    ``labelled``: documents with labels. Where a document may have several labels, that is not the sum of ``labels``.
    """

    documents: int
    characters: int
    labels: dict[str, int]
    labelled: int
    lengths: Sequence[int]
