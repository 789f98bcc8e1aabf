"""The model card of a version: what it is made of and for, how good it is and where not; in Markdown and as a page.

Both are written from the same sections. Whatever comes from a user's data is a string in them, and is escaped where it is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ulmfit.evaluation.results import Results
from ulmfit.report.numbers import count, interval, percent, signed
from ulmfit.report.scores import metric_titles, verdict
from ulmfit.report.summary import CorpusSummary, Summary
from ulmfit.store.lineage import Lineage

FEW_ROWS = 30  # held-out rows of a label below which its figures say little
WEAK = 0.6  # F1 of a label below which it is named
NAMED = 12  # labels in one sentence


@dataclass(frozen=True)
class Table:
    """A head, and rows of as many cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A title, paragraphs, and tables below them."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Card:
    """``title`` and sections, as plain text."""

    title: str
    sections: tuple[Section, ...]


def card_of(summary: Summary, lineage: Lineage, licence: str) -> Card:
    """The card of the version that a run has registered. ``licence``: of the language model that it started from."""
    model = summary.model
    title = f"Model card: {model.name}, version {model.version}" if model.name else f"Model card: {summary.name}"
    sections = (
        _purpose(summary),
        _data(summary.corpus),
        _method(summary),
        _figures(summary),
        _slices(summary),
        _labels(summary.results),
        _calibration(summary),
        _limits(summary),
        Section("Licence of the language model it started from", (licence,)),
        _lineage(summary, lineage),
    )
    return Card(title, tuple(section for section in sections if section.paragraphs or section.tables))


def _purpose(summary: Summary) -> Section:
    results = summary.results
    kind = "one of these labels" if results.task == "multi-class" else "any number of these labels"
    return Section(
        "What it is for",
        (
            f"It gives a text {kind}: {_names(results.labels)}. The texts should be like those of the corpus {summary.corpus.name}.",
            f"Trained {summary.run.started[:10]} by ulmfit {summary.run.versions.get('ulmfit', '')} on {summary.run.device}.",
        ),
    )


def _names(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more


def _data(corpus: CorpusSummary) -> Section:
    present = [split for split in ("train", "valid", "test", "unlabelled") if split in corpus.splits and corpus.splits[split].documents]
    splits = Table(
        ("split", "documents", "characters"),
        tuple((split, count(corpus.splits[split].documents), count(corpus.splits[split].characters)) for split in present),
    )
    left_out = f"{count(sum(corpus.quarantined.values()))} rows could not be used, {count(corpus.duplicates)} were duplicates, {count(corpus.overlap_removed)} stood in two splits; none of these is in it."
    language = corpus.quality.languages.main if corpus.quality else None
    language_line = (f"Its main language, guessed from a sample: {language}.",) if language else ()
    read = f"Corpus {corpus.name}, read from {corpus.source}, content digest {corpus.digest}."
    return Section("Data", (read, left_out, *language_line, *corpus.warnings), (splits,))


def _method(summary: Summary) -> Section:
    settings, run = summary.settings, summary.run
    with_words = "; a model of words and pieces of words (TF-IDF) joins them, and validation documents say how much it counts."
    words = with_words if settings.words else "; probabilities are the mean of both."
    return Section(
        "Method",
        (
            "ULMFiT (Howard and Ruder 2018): an AWD-LSTM language model of general text is fine-tuned on the texts of the domain, and its "
            f"encoder becomes a classifier. One reads forward and one backward{words}",
            f"Embedding {settings.model.embedding}, hidden {settings.model.hidden}, {settings.model.layers} layers; fine-tuning {_epochs(settings.finetune.epochs)}, "
            f"classifier {_epochs(settings.classifier.epochs)} at the rate {settings.classifier.lr:g}, thawed {settings.classifier.unfreeze}.",
            f"All settings and the curves are in the report of run {run.id}.",
        ),
    )


def _epochs(epochs: float | Literal["auto"]) -> str:
    return "as many epochs as the text is long enough for" if epochs == "auto" else f"{epochs:g} epochs"


def _figures(summary: Summary) -> Section:
    results = summary.results
    titles = metric_titles(results)
    rows = tuple(
        (name, *(f"{percent(scores[metric].value)} {interval(scores[metric])}" for metric in titles), _over(results, name))
        for name, scores in results.systems.items()
    )
    judged = "validation" if summary.settings.judge == "valid" else "test"
    about = f"On {count(results.documents)} {judged} documents that nothing was learnt from, with {percent(results.confidence, 0)} bootstrap intervals. The model is {results.headline}."
    table = Table(("system", *titles.values(), "points over baseline"), rows)
    return Section("Figures", (about, verdict(results.differences.get(results.headline)).sentence), (table,))


def _over(results: Results, name: str) -> str:
    found = results.differences.get(name)
    return f"{signed(found.value)} {interval(found)}" if found else ""


def _slices(summary: Summary) -> Section:
    if not summary.slices:
        return Section("Slices")
    rows = tuple((found.name, count(found.rows), f"{percent(found.right.value)} {interval(found.right)}") for found in summary.slices)
    about = f"Share of the documents of a slice that {summary.results.headline} predicts right, with {percent(summary.results.confidence, 0)} intervals (Wilson). The quarters are by characters."
    return Section("Slices", (about,), (Table(("slice", "documents", "right"), rows),))


def _labels(results: Results) -> Section:
    rows = tuple(
        (label, count(found.documents), percent(found.precision), percent(found.recall), percent(found.f1))
        for label, found in zip(results.labels, results.per_label, strict=True)
    )
    return Section("Labels", (), (Table(("label", "documents", "precision", "recall", "F1"), rows),))


def _calibration(summary: Summary) -> Section:
    error = summary.results.calibration.systems[summary.results.headline]
    about = (
        f"Expected calibration error {percent(error.after)}, {percent(error.before)} before calibration: by so much, probability and accuracy "
        "differ in the mean."
    )
    if not summary.answered:
        return Section("Calibration", (about,))
    rows = tuple((percent(found.share), percent(found.coverage), percent(found.accuracy)) for found in summary.answered)
    return Section("Calibration", (about,), (Table(("to be right", "answered", "of these right"), rows),))


def _limits(summary: Summary) -> Section:
    results = summary.results
    scored = list(zip(results.labels, results.per_label, strict=True))
    few = [label for label, found in scored if found.documents < FEW_ROWS]
    weak = [label for label, found in scored if found.documents >= FEW_ROWS and (found.f1 or 0.0) < WEAK]
    quality = summary.corpus.quality
    unknown = quality.out_of_vocabulary if quality else None
    said = [
        "Figures hold for texts like those that were held out. Text of another time, place or kind may differ: see ulmfit retrain and its drift.",
        _always(results),
        "Its words carry what the training text says of people and places. It has not been examined for bias against groups of people.",
    ]
    if unknown is not None:
        said.append(f"{percent(unknown.share)} of the tokens of held-out text are unknown to it, and are read as one and the same word.")
    if few:
        said.append(f"Fewer than {FEW_ROWS} held-out documents, so little is known of: {_names(few)}.")
    if weak:
        said.append(f"F1 below {percent(WEAK, 0)}: {_names(weak)}.")
    return Section("Limits", tuple(said))


def _always(results: Results) -> str:
    if results.task == "multi-class":
        return (
            "It always gives a label, for a text in any language and of any kind; predict --abstain-below and --explain tell where to look."
        )
    return "It gives labels to a text in any language and of any kind; predict --explain and --warn tell where to look."


def _lineage(summary: Summary, lineage: Lineage) -> Section:
    artifacts = tuple((found.kind, key, found.finished or "") for key, found in lineage.artifacts.items())
    run = summary.run
    versions = ", ".join(f"{library} {version}" for library, version in run.versions.items())
    about = f"Run {run.id} of experiment {run.experiment} in {without_secrets(run.tracking_uri)}, with {versions}."
    return Section(
        "Lineage", (about, f"Model artifact {lineage.key}, and all that is behind it:"), (Table(("kind", "key", "made"), artifacts),)
    )


def without_secrets(uri: str) -> str:
    """An address without user and password."""
    scheme, separator, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else uri


SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|~#&$"})


def markdown(card: Card) -> str:
    """The card in Markdown; signs that mean something there are escaped."""
    return "\n".join(_lines(card))


def escaped(text: str) -> str:
    """Text on one line as Markdown shows it."""
    return " ".join(text.split()).translate(SPECIAL)


def _lines(card: Card) -> Iterator[str]:
    yield f"# {escaped(card.title)}"
    for section in card.sections:
        yield f"\n## {escaped(section.title)}\n"
        yield "\n\n".join(map(escaped, section.paragraphs))
        for table in section.tables:
            yield ""
            yield _row(table.head)
            yield _row(["---"] * len(table.head))
            yield from map(_row, table.rows)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"
