"""How good a corpus is: what is measured on the workers, ``quality.json``, and the thresholds that warn or stop.

``measure`` looks at the documents of one part, before duplicates and overlaps are taken out, and counts those with

- HTML left in them: ``tags`` (opening or closing tags of HTML's elements, comments, document types) other than ``line_breaks``
  (``<br>``, ``<br />``), which the tokenizer understands as it does ``entities``: ``&amp;``, ``&#39;``, and those that lost
  their ``&``, like `` #39;``. A document with any of the three counts as ``html``. Tags of no HTML element (``<unk>``) do not.
- broken encoding: U+FFFD, a C1 control (U+0080 to U+009F), or UTF-8 that was read as Latin-1 or Windows-1252, known by
  pairs of characters that no language writes: ``Ã©`` for é, ``â€™`` for ’, ``Ð¿`` for п, ``Å‚`` for ł, ``ä¸­`` for 中.
- a language, at a guess: of at most ``SAMPLE`` documents a part, evenly spaced, by their first ``EXCERPT`` characters.

``quality.json`` is what ``quality`` returns, and ``out_of_vocabulary`` once a vocabulary is known. A *share* in it is a mapping
``{"documents": n, "of": m, "share": n / m}`` (0 where m is 0):

===================  ================================================================================================
``version``          ``FORMAT``
``measured``         ``documents`` and ``characters`` that ``measure`` saw: the rows that can be used, of very long documents
                     the first piece
``found``            name -> share. Of all rows: ``quarantined``; of the measured documents: ``duplicates`` (text and label
                     of an earlier document of the split), ``folded_duplicates`` (its text, but for case and white space;
                     these too), ``with_nul``, ``html``, ``tags``, ``line_breaks``, ``entities``, ``broken``; of the training
                     documents: ``conflicting_labels``
``quarantined``      reason -> rows
``overlap``          ``train/test`` and other pairs -> share: documents of the split that judges the other which also stand
                     in that; test judges valid, valid train, and train unlabelled text
``languages``        ``sampled`` documents, those ``told`` with some certainty, ``main`` (the commonest, or null), ``share``
                     of it, and ``guessed``: ISO 639 code -> share, both of the told
``splits``           of the finished corpus: ``documents``, ``characters``, ``lengths`` (see ``histogram``) and ``labels``:
                     label -> share
``class_ratio``      documents of the largest class of train to those of the smallest; null without labels
===================  ================================================================================================
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.config import QualityConfig
from ulmfit.errors import UserError
from ulmfit.text.characters import ENTITY
from ulmfit.text.rules import LINE_BREAK
from ulmfit.text.vocab import UNK, Vocab

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

FORMAT = 1
SAMPLE = 64  # documents of a part whose language is guessed: half a millisecond each
EXCERPT = 400  # characters of them; with 200 one in a hundred English articles was taken for another language
CERTAIN = 0.5  # a guess below this is none
LEAST_TOLD = 30  # documents; fewer say nothing of a corpus
COMMONEST = 20  # unknown tokens that are listed

_ELEMENTS = (
    "a|abbr|acronym|address|article|aside|audio|b|base|big|blockquote|body|br|button|canvas|caption|center|cite|code|col|colgroup|"
    "dd|del|details|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|frame|frameset|h[1-6]|head|header|hr|html|i|"
    "iframe|img|input|ins|kbd|label|legend|li|link|main|map|mark|meta|nav|noscript|object|ol|optgroup|option|p|param|picture|pre|q|"
    "s|samp|script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|"
    "th|thead|time|title|tr|tt|u|ul|var|video|wbr"
)
# Each of these begins with one plain character, which Python's regular expressions search for at the speed of memory.
TAG = re.compile(rf"<(?!br\s*/?>)(?:/?(?:{_ELEMENTS})(?:\s[^<>]*|/)?>|!--|!doctype\s)", re.IGNORECASE)
_DIGITS = [rf"#[0-9]{{{n}}}|#x[0-9a-fA-F]{{{n}}}" for n in range(2, 6)]
_LOST = "|".join([*_DIGITS, "amp|quot|lt|gt|nbsp|apos"]).split("|")
LOST_ENTITY = re.compile(";(?:" + "|".join(rf"(?<=(?<![&\w;]){name};)" for name in _LOST) + ")")
MARKUP = re.compile(r"<[^<>]*>")

# For RE2, which tests all of these at once. What could be a last letter and a closing quotation mark ("groß“", "passé…”") is left out.
BROKEN = "|".join(
    (
        "[\x80-\x9f\ufffd]",
        "Â[\xa0-\xbf]|Ã[\xa0-\xba\xbc-\xbf]",  # À to ÿ, and signs such as ° and £
        "â€|ðŸ|ï¿½|ï»¿",  # quotation marks and dashes; emoji; U+FFFD and the byte order mark, themselves misread
        "[ÄÅ][™›Ÿ¼¾]|Å‚|Ä±|Å¡",  # Polish, Czech, Turkish
        "[ÐÑ][°-º¼-¿€‚ƒ„†‡ˆ‰]",  # Cyrillic
        "Î[±-º¼-¿]|Ï[€‚ƒ„†‡ˆ‰]",  # Greek
        "Ø[§-ª±-´¹]|Ù[„†‡ˆŠ]",  # Arabic
        "[äåæçèé][¡-ª¬-º¼-¿][¡-ª¬-º¼-¿‚ƒ„†‡ˆ‰Š‹Œ™š›œ]",  # Chinese, Japanese, Korean
    )
)


# ------------------------------------------------------------------------------------------------------------ measuring


def measure(texts: Sequence[str]) -> dict[str, Any]:
    """What is told above, of one part: counts that ``merge`` adds up, and that JSON can hold. No text may hold a lone surrogate."""
    tags = {i for i, text in enumerate(texts) if "<" in text and TAG.search(text)}
    breaks = {i for i, text in enumerate(texts) if "<" in text and LINE_BREAK.search(text)}
    entities = {i for i, text in enumerate(texts) if ";" in text and (("&" in text and ENTITY.search(text)) or LOST_ENTITY.search(text))}
    sample = [texts[i * len(texts) // SAMPLE] for i in range(SAMPLE)] if len(texts) > SAMPLE else texts
    return {
        "documents": len(texts),
        "characters": sum(map(len, texts)),
        "html": len(tags | breaks | entities),
        "tags": len(tags),
        "line_breaks": len(breaks),
        "entities": len(entities),
        "broken": _broken(texts),
        "sampled": len(sample),
        "languages": languages(sample),
    }


def _broken(texts: Sequence[str]) -> int:
    column = pa.array([text for text in texts if not text.isascii()], pa.large_string())
    return pc.sum(pc.match_substring_regex(column, BROKEN)).as_py() or 0


def languages(texts: Iterable[str]) -> dict[str, int]:
    """Documents by the language (ISO 639 code) guessed from their beginnings; those it cannot be told of are left out."""
    guessed: Counter[str] = Counter()
    for text in texts:
        language, certainty = _identifier().classify(MARKUP.sub(" ", text[: 2 * EXCERPT])[:EXCERPT])
        if certainty >= CERTAIN and language != "zxx":  # the code for what is no language
            guessed[language] += 1
    return dict(sorted(guessed.items()))


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # its model takes a second and 100 MB, and only scans need it

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def merge(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The measurements of many parts as those of one."""
    total = measure([])
    guessed: Counter[str] = Counter()
    for part in parts:
        guessed.update(part["languages"])
        total = {name: 0 if name == "languages" else value + part[name] for name, value in total.items()}
    return total | {"languages": dict(sorted(guessed.items()))}


def histogram(characters: Sequence[int] | np.ndarray) -> list[int]:
    """Documents by length: the count at k is of those with 2**k to 2**(k+1) - 1 characters. Lengths are 1 or more."""
    return np.bincount(np.frexp(np.asarray(characters, dtype=np.float64))[1] - 1).tolist() if len(characters) else []


# --------------------------------------------------------------------------------------------------------- quality.json


def describe(merged: Mapping[str, Any], findings: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The content of ``quality.json``, as told above.

    ``merged`` is of ``merge``. ``findings``: ``rows``; ``quarantined`` {reason: rows}; ``documents`` {split: documents before any
    was taken out as overlap or left out of a sample}; ``duplicates``, ``folded_duplicates``, ``conflicting_labels``, ``with_nul``;
    ``overlap`` {"train/test": documents of the one that judges}. ``splits`` of the finished corpus: ``documents``,
    ``characters``, ``labels`` {label: documents}, ``lengths`` as ``histogram`` has them; and the documents that are ``labelled``, where
    one may have several labels.
    """
    measured, before = merged["documents"], findings["documents"]
    of_measured = {name: findings[name] for name in ("duplicates", "folded_duplicates", "with_nul")}
    of_measured |= {name: merged[name] for name in ("html", "tags", "line_breaks", "entities", "broken")}
    return {
        "version": FORMAT,
        "measured": {"documents": measured, "characters": merged["characters"]},
        "found": {
            "quarantined": share(sum(findings["quarantined"].values()), findings["rows"]),
            **{name: share(documents, measured) for name, documents in of_measured.items()},
            "conflicting_labels": share(findings["conflicting_labels"], before.get("train", 0)),
        },
        "quarantined": dict(findings["quarantined"]),
        "overlap": {pair: share(documents, before.get(judge_of(pair), 0)) for pair, documents in findings["overlap"].items()},
        "languages": _spoken(merged),
        "splits": {split: _split(held) for split, held in splits.items()},
        "class_ratio": _class_ratio(splits.get("train", {}).get("labels", {})),
    }


def share(documents: int, of: int) -> dict[str, Any]:
    """A share as ``quality.json`` has them."""
    return {"documents": documents, "of": of, "share": round(documents / of, 6) if of else 0.0}


def judge_of(pair: str) -> str:
    """The split of ``train/test`` and the like that judges the other, or has its text already."""
    return min(pair.split("/"), key=("test", "valid", "train", "unlabelled").index)


def _spoken(merged: Mapping[str, Any]) -> dict[str, Any]:
    told = sum(merged["languages"].values())
    order = sorted(merged["languages"].items(), key=lambda item: (-item[1], item[0]))
    guessed = {code: share(documents, told) for code, documents in order}
    main = order[0][0] if order else None
    return {"sampled": merged["sampled"], "told": told, "main": main, "share": guessed[main]["share"] if main else 0.0, "guessed": guessed}


def _split(held: Mapping[str, Any]) -> dict[str, Any]:
    labelled = held.get("labelled", sum(held["labels"].values()))
    labels = {label: share(documents, labelled) for label, documents in held["labels"].items()}
    return {"documents": held["documents"], "characters": held["characters"], "lengths": list(held["lengths"]), "labels": labels}


def _class_ratio(labels: Mapping[str, int]) -> float | None:
    return round(max(labels.values()) / min(labels.values()), 3) if labels and min(labels.values()) else None


def out_of_vocabulary(counts: Mapping[str, int] | pa.Table, vocab: Vocab) -> dict[str, Any]:
    """How many tokens ``vocab`` turns into ``xxunk``: ``tokens`` in all, ``unknown`` of them, ``share``, and the ``most_frequent``.

    ``counts`` gives each token once: a mapping, or a table of the columns ``token`` and ``count``. ``most_frequent`` holds
    [token, count] pairs, at most ``COMMONEST``. ``xxunk`` itself (what WikiText writes ``<unk>``) is unknown too.
    """
    if not isinstance(counts, pa.Table):
        columns = {"token": pa.array(counts.keys(), pa.string()), "count": pa.array(counts.values(), pa.int64())}
        counts = pa.table(columns)
    known = pa.array([token for number, token in enumerate(vocab.tokens) if number != UNK], pa.string())
    unknown = counts.filter(pc.invert(pc.is_in(counts["token"], value_set=known)))
    order = [("count", "descending"), ("token", "ascending")]
    often = unknown.take(pc.select_k_unstable(unknown, COMMONEST, order)).to_pylist() if len(unknown) else []  # it cannot do none
    tokens, missed = (pc.sum(table["count"]).as_py() or 0 for table in (counts, unknown))
    pairs = [[row["token"], row["count"]] for row in often]
    return {"tokens": tokens, "unknown": missed, "share": round(missed / tokens, 6) if tokens else 0.0, "most_frequent": pairs}


# ----------------------------------------------------------------------------------------------------------- thresholds


@dataclass(frozen=True)
class _Reading:
    """A number to hold against its thresholds ``quality.{max or min}_{name}`` and ``quality.warn_{name}``, and the words for it."""

    name: str
    value: float
    told: str
    remedy: str
    floor: bool = False  # too little is at fault, not too much

    def beyond(self, level: float | None) -> bool:
        return level is not None and (self.value < level if self.floor else self.value > level)

    @property
    def stop(self) -> str:
        return f"{'min' if self.floor else 'max'}_{self.name}"

    @property
    def allowed(self) -> str:
        """The nearest round number that lets the value pass."""
        if self.name.endswith("ratio"):
            return str(math.ceil(self.value))
        return f"{(math.floor if self.floor else math.ceil)(round(self.value * 1e4, 2)) / 1e4:g}"


def check(quality: Mapping[str, Any], config: QualityConfig, source: str) -> list[str]:
    """Warnings, one line each. UserError, naming every threshold that is passed, where one stops.

    ``max_quarantined_share`` is not looked at here: it stops earlier, when the rows are read.
    """
    return _judge(_readings(quality), config, source)


def check_vocabulary(found: Mapping[str, Any], config: QualityConfig, source: str) -> list[str]:
    """As ``check``, for what ``out_of_vocabulary`` returns; ``source`` says which text and which vocabulary."""
    listed = ", ".join(token for token, _ in found["most_frequent"][:5])
    told = f"{_percent(found['share'])} of the tokens ({found['unknown']:,} of {found['tokens']:,}) are not in the vocabulary"
    told += f" (most often: {listed})" if listed else ""
    return _judge([_Reading("oov_share", found["share"], told, "raise vocab.max_size or lower vocab.min_count")], config, source)


def check_language(quality: Mapping[str, Any], lang: str) -> list[str]:
    """A warning where the corpus is mostly in another language than ``lang``, the tokenizer's."""
    spoken = quality["languages"]
    code = {"nb": "no"}.get(lang, lang)
    if lang == "xx" or spoken["told"] < LEAST_TOLD or spoken["main"] == code or spoken["share"] < 0.5:
        return []
    return [
        f"the text looks like {spoken['main']} ({_percent(spoken['share'])} of {spoken['told']:,} sampled documents), but is "
        f"tokenised as {lang}: set text.lang={spoken['main']}"
    ]


def _judge(readings: Iterable[_Reading], config: QualityConfig, source: str) -> list[str]:
    stops, warnings = [], []
    for reading in readings:
        level, warn = getattr(config, reading.stop), getattr(config, f"warn_{reading.name}")
        if reading.beyond(level):
            stops.append(
                f"{reading.told}, where quality.{reading.stop}={level:g}: {reading.remedy}, or allow it with "
                f"--set quality.{reading.stop}={reading.allowed}"
            )
        elif reading.beyond(warn):
            warnings.append(f"{reading.told}: {reading.remedy} (quality.warn_{reading.name}={warn:g})")
    if stops:
        raise UserError(f"{source}: {'; '.join(stops)}")
    return warnings


def _readings(quality: Mapping[str, Any]) -> Iterator[_Reading]:
    found = quality["found"]
    words = {
        "duplicate": ("folded_duplicates", "repeat an earlier one of their split", "thin them out at their source, repeats weigh more"),
        "html": ("html", "hold HTML tags or entities", "take them out before"),
        "tag": ("tags", "hold HTML tags other than <br>, which become words", "take the tags out before"),
        "broken": (
            "broken",
            "show a broken encoding (such as Ã© for é)",
            "mend them at their source, or name the encoding with --encoding",
        ),
    }
    for name, (counted, what, remedy) in words.items():
        yield _Reading(f"{name}_share", found[counted]["share"], _told(found[counted], "documents", what), remedy)
    for pair, shared in quality["overlap"].items():
        judge = judge_of(pair)
        other = next(split for split in pair.split("/") if split != judge)
        remedy = f"find out why; what {judge} holds was taken out of {other}"
        yield _Reading("overlap_share", shared["share"], _told(shared, f"documents of {judge}", f"also stand in {other}"), remedy)
    spoken = quality["languages"]
    if spoken["told"] >= LEAST_TOLD:
        told = f"{spoken['main']}, the commonest language, is that of {_percent(spoken['share'])} of {spoken['told']:,} sampled documents"
        yield _Reading("main_language_share", spoken["share"], told, "keep one language a corpus", floor=True)
    if quality["class_ratio"] is not None:
        labels = {label: shared["documents"] for label, shared in quality["splits"]["train"]["labels"].items()}
        large, small = max(labels, key=labels.__getitem__), min(labels, key=labels.__getitem__)
        told = f"label {large!r} has {quality['class_ratio']:,.1f} times as many training documents as {small!r} ({labels[large]:,} and {labels[small]:,})"
        yield _Reading("class_ratio", quality["class_ratio"], told, "label more of the rare, or join classes")


def _told(shared: Mapping[str, Any], of: str, what: str) -> str:
    return f"{_percent(shared['share'])} of the {of} ({shared['documents']:,} of {shared['of']:,}) {what}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%" if value >= 0.001 or not value else f"{100 * value:.2g}%"
