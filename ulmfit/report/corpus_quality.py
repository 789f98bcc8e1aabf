"""The quality of a corpus as the report and the terminal show it; ``corpora/quality/`` measures it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Self

from ulmfit.corpora.quality.quality_record import OutOfVocabulary, Quality, Share
from ulmfit.corpora.splits import judge_of
from ulmfit.report.numbers import count

# What ``Quality.found`` counts, in the order shown: title, and what is counted.
FOUND = {
    "quarantined": ("Quarantined rows", "rows"),
    "duplicates": ("Exact duplicates", "documents"),
    "folded_duplicates": ("Duplicates except for case and spaces", "documents"),
    "overlap": ("In {} and {}", "documents of {}"),
    "conflicting_labels": ("Texts with conflicting labels", "documents of train"),
    "html": ("HTML in the text", "documents"),
    "tags": ("HTML tags other than <br>", "documents"),
    "line_breaks": ("HTML line breaks", "documents"),
    "entities": ("HTML entities", "documents"),
    "broken": ("Broken encoding", "documents"),
    "with_nul": ("NUL characters", "documents"),
}
UNDERSTOOD = ("html", "line_breaks", "entities")  # by the tokenizer, so no fault of the data
FEW = 6  # languages, labels and tokens that are shown


class CorpusQuality(Quality):
    """The quality of a corpus, and the share of its held-out tokens that the vocabulary lacks."""

    out_of_vocabulary: OutOfVocabulary | None = None


@dataclass(frozen=True)
class Finding:
    """A row of the table: ``count`` of ``of`` units; ``bad``: it is a fault of the data."""

    title: str
    count: int
    of: int
    unit: str
    share: float
    note: str = ""
    bad: bool = True


def findings(quality: CorpusQuality) -> list[Finding]:
    """Everything that was checked, in the order shown; ``count`` is 0 where nothing was found."""
    rows = []
    reasons = ", ".join(f"{count(rows)} {reason}" for reason, rows in quality.quarantined.items())
    for name, (title, unit) in FOUND.items():
        if name == "overlap":
            pairs = quality.overlap.items()
            rows += [_finding(title.format(*pair.split("/")), unit.format(judge_of(pair)), shared) for pair, shared in pairs]
        else:
            note = reasons if name == "quarantined" else ""
            rows.append(_finding(title, unit, quality.found[name], note, name not in UNDERSTOOD))
    unknown = quality.out_of_vocabulary
    if unknown:
        often = ", ".join(token for token, _ in unknown.most_frequent[:FEW])
        note = f"most often: {often}" if often else ""
        rows.append(Finding("Tokens outside the vocabulary", unknown.unknown, unknown.tokens, "tokens", unknown.share, note))
    return rows


def _finding(title: str, unit: str, found: Share, note: str = "", bad: bool = True) -> Finding:
    return Finding(title, found.documents, found.of, unit, found.share, note, bad)


@dataclass(frozen=True)
class Lengths:
    """Documents of all splits by length: ``bins`` maps a least number of characters, a power of two, to documents."""

    bins: Mapping[int, int]

    @classmethod
    def of(cls, quality: Quality) -> Self:
        """From the shortest to the longest documents of the corpus."""
        totals = [sum(counts) for counts in zip_longest(*(split.lengths for split in quality.splits.values()), fillvalue=0)]
        filled = [k for k, documents in enumerate(totals) if documents]
        return cls({2**k: totals[k] for k in range(filled[0], filled[-1] + 1)} if filled else {})

    @property
    def documents(self) -> int:
        """Documents of all lengths."""
        return sum(self.bins.values())

    def limit(self, share: float) -> int:
        """The least power of two, in characters, that at least ``share`` of the documents are shorter than."""
        seen = 0
        for low, documents in self.bins.items():
            seen += documents
            if seen >= share * self.documents:
                return 2 * low
        raise AssertionError("there is no document")

    def shorter(self, limit: int) -> int:
        """Documents with fewer characters than ``limit``, a power of two."""
        return sum(documents for low, documents in self.bins.items() if low < limit)

    def columns(self) -> Iterator[tuple[str, str, float]]:
        """The columns of a histogram: the edge in four letters at most, a title, and the height in percent of the tallest."""
        tallest = max(self.bins.values(), default=0)
        for low, number in self.bins.items():
            edge = f"{low >> 20}M" if low >= 1 << 20 else f"{low >> 10}k" if low >= 1 << 10 else str(low)
            yield edge, f"{count(low)} to {count(2 * low - 1)} characters: {count(number)}", round(100 * number / tallest, 1)
