"""The thresholds of ``QualityConfig``: which quality warns, and which stops a run."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ulmfit.config import QualityConfig
from ulmfit.corpora.quality.quality_record import OutOfVocabulary, Quality, Share
from ulmfit.corpora.splits import judge_of
from ulmfit.errors import UserError

LEAST_TOLD = 30  # documents; fewer say nothing of a corpus


@dataclass(frozen=True)
class Figure:
    """A number compared with ``quality.{max or min}_{name}`` and ``quality.warn_{name}``; ``text`` states it, ``remedy`` says what to do."""

    name: str
    value: float
    text: str
    remedy: str
    floor: bool = False  # too little is the fault, not too much

    def beyond(self, level: float | None) -> bool:
        """Whether the value passes a threshold; None is no threshold."""
        return level is not None and (self.value < level if self.floor else self.value > level)

    @property
    def stop(self) -> str:
        """The setting that stops a run."""
        return f"{'min' if self.floor else 'max'}_{self.name}"

    @property
    def allowed(self) -> str:
        """The nearest round number that lets the value pass."""
        if self.name.endswith("ratio"):
            return str(math.ceil(self.value))
        return f"{(math.floor if self.floor else math.ceil)(round(self.value * 1e4, 2)) / 1e4:g}"


def check(quality: Quality, config: QualityConfig, source: str) -> list[str]:
    """Warnings, one line each. UserError, naming every threshold that is passed, where one of them stops the run.

    ``max_quarantined_share`` is not checked here: it stops earlier, when the rows are read.
    """
    return _judge(_figures(quality), config, source)


def check_vocabulary(found: OutOfVocabulary, config: QualityConfig, source: str) -> list[str]:
    """As ``check``, for the tokens outside the vocabulary; ``source`` names the text and the vocabulary."""
    listed = ", ".join(token for token, _ in found.most_frequent[:5])
    text = f"{_percent(found.share)} of the tokens ({found.unknown:,} of {found.tokens:,}) are not in the vocabulary"
    text += f" (most often: {listed})" if listed else ""
    return _judge([Figure("oov_share", found.share, text, "raise vocab.max_size or lower vocab.min_count")], config, source)


def check_language(quality: Quality, lang: str) -> list[str]:
    """A warning where most of the corpus is in another language than the tokenizer's, ``lang``."""
    spoken = quality.languages
    code = {"nb": "no"}.get(lang, lang)
    if lang == "xx" or spoken.told < LEAST_TOLD or spoken.main == code or spoken.share < 0.5:
        return []
    return [
        f"the text looks like {spoken.main} ({_percent(spoken.share)} of {spoken.told:,} sampled documents), but is "
        f"tokenised as {lang}: set text.lang={spoken.main}"
    ]


def _judge(figures: Iterable[Figure], config: QualityConfig, source: str) -> list[str]:
    stops, warnings = [], []
    for figure in figures:
        level, warn = getattr(config, figure.stop), getattr(config, f"warn_{figure.name}")
        if figure.beyond(level):
            stops.append(
                f"{figure.text}, where quality.{figure.stop}={level:g}: {figure.remedy}, or allow it with "
                f"--set quality.{figure.stop}={figure.allowed}"
            )
        elif figure.beyond(warn):
            warnings.append(f"{figure.text}: {figure.remedy} (quality.warn_{figure.name}={warn:g})")
    if stops:
        raise UserError(f"{source}: {'; '.join(stops)}")
    return warnings


# Setting -> what is counted (in ``Quality.found``), what the documents do, and the remedy.
FAULTS = {
    "duplicate_share": (
        "folded_duplicates",
        "repeat an earlier document of their split",
        "remove repeats at their source, as they weigh more than other documents",
    ),
    "html_share": ("html", "hold HTML tags or entities", "remove them before"),
    "tag_share": ("tags", "hold HTML tags other than <br>, which become words", "remove the tags before"),
    "broken_share": (
        "broken",
        "show a broken encoding (such as Ã© for é)",
        "correct them at their source, or name the encoding with --encoding",
    ),
}


def _figures(quality: Quality) -> Iterator[Figure]:
    for name, (counted, what, remedy) in FAULTS.items():
        found = quality.found[counted]
        yield Figure(name, found.share, _text(found, "documents", what), remedy)
    for pair, shared in quality.overlap.items():
        judge = judge_of(pair)
        other = next(split for split in pair.split("/") if split != judge)
        remedy = f"find out why; they were removed from {other}"
        yield Figure("overlap_share", shared.share, _text(shared, f"documents of {judge}", f"also stand in {other}"), remedy)
    spoken = quality.languages
    if spoken.told >= LEAST_TOLD:
        text = f"the commonest language, {spoken.main}, is that of {_percent(spoken.share)} of {spoken.told:,} sampled documents"
        yield Figure("main_language_share", spoken.share, text, "keep to one language per corpus", floor=True)
    if quality.class_ratio is not None:
        labels = {label: shared.documents for label, shared in quality.splits["train"].labels.items()}
        large, small = max(labels, key=labels.__getitem__), min(labels, key=labels.__getitem__)
        text = f"label {large!r} has {quality.class_ratio:,.1f} times as many training documents as {small!r} ({labels[large]:,} and {labels[small]:,})"
        yield Figure("class_ratio", quality.class_ratio, text, "label more documents of the rare class, or join classes")


def _text(shared: Share, of: str, what: str) -> str:
    return f"{_percent(shared.share)} of the {of} ({shared.documents:,} of {shared.of:,}) {what}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%" if value >= 0.001 or not value else f"{100 * value:.2g}%"
