"""``ulmfit suspects``: the rows of a corpus whose labels may be wrong."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, console, options_of, print_json
from flows.request import SuspectsRequest
from ulmfit.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from ulmfit.experiments.suspect_rows import Judge, Labelled, Suspect

log = logging.getLogger(__name__)

SHOWN, EXCERPT = 10, 60  # rows on the terminal, and letters of their texts


OMITTED = {"corpus", "more", "out", "test", "unlabelled", "minutes", "model_name", "stages"}


@options_of(SuspectsRequest, omit=OMITTED)
def suspects(
    corpus: Annotated[str, typer.Argument(help="name of a known corpus, a file (csv, tsv, jsonl, parquet) or a folder")],
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Rows whose labels may be wrong, the most doubtful first. Nothing is changed or left out: look at them."""
    request = SuspectsRequest.model_validate({"corpus": corpus, **fields})
    _check(request, corpus)
    labelled = _labelled(request, corpus)
    from ulmfit.experiments.suspect_rows import suspect_rows

    method, judge = _judge(request, labelled)
    found = suspect_rows(labelled, judge)
    if request.output:
        _write(found, request.output)
    _keep(request, method, labelled, found)
    console().print(_table(found))
    log.info(
        "%d labels of %d rows may be wrong%s", len(found), len(labelled.texts), f"; written to {request.output}" if request.output else ""
    )
    if as_json:
        facts = {"corpus": corpus, "rows": len(labelled.texts), "refused": dict(labelled.refused), "method": method}
        print_json(facts | {"suspects": len(found), "output": request.output})


def _check(request: SuspectsRequest, corpus: str) -> None:
    """UserError for what can be found before the corpus is read."""
    from ulmfit.corpora.catalog.entries import CATALOG
    from ulmfit.corpora.source import CorpusSource, peek
    from ulmfit.prediction.answer_files import check_output

    if request.method == "ulmfit" and request.settings().classifier.task != "multi-class":
        raise UserError("suspects are judged by one label per text; leave --set classifier.task out")
    if request.output:
        check_output(request.output, None if corpus in CATALOG else corpus)
    peek(CorpusSource(corpus, request.text_column, request.label_column, encoding=request.encoding))


def _judge(request: SuspectsRequest, labelled: Labelled) -> tuple[str, Judge]:
    """What judges the rows, and its name for people."""
    from ulmfit.experiments.suspect_rows import by_predictions, by_words
    from ulmfit.experiments.suspects import METHOD
    from ulmfit.training.regression import FOLDS

    if request.method == "words":
        return METHOD, by_words(request.seed or 0)
    from cli.workflows import run_flow

    found = run_flow(request, "suspects")
    return f"ULMFiT, {' and '.join(request.read())}, {FOLDS} folds", by_predictions(labelled, found.ids, found.names, found.probabilities)


def _labelled(request: SuspectsRequest, corpus: str) -> Labelled:
    from tasks.workspace import Workspace
    from ulmfit.corpora.catalog.entries import CATALOG, fetch
    from ulmfit.corpora.reading.rows import read_rows
    from ulmfit.experiments.suspect_rows import labelled_rows

    if corpus in CATALOG:
        return labelled_rows(corpus, fetch(corpus, Workspace.named(request.workspace).downloads).rows())
    return labelled_rows(corpus, read_rows(corpus, request.text_column, request.label_column, request.encoding))


def _write(found: list[Suspect], output: str) -> None:
    from ulmfit.experiments.suspect_rows import SuspectTable
    from ulmfit.prediction.answer_files import written

    with written(output, SuspectTable()) as write:
        write(found)


def _keep(request: SuspectsRequest, method: str, labelled: Labelled, found: list[Suspect]) -> None:
    """Keep the list for the reports of runs on the same corpus."""
    from tasks.suspects import keep_suspects
    from tasks.workspace import Workspace
    from ulmfit.report.suspect_list import SuspectList

    try:
        keep_suspects(Workspace.named(request.workspace), request.source(), SuspectList.of(method, len(labelled.texts), found))
    except OSError as error:
        log.warning("the list is not kept for reports: %s", error)


def _table(found: list[Suspect]) -> Table:
    """The first rows, as text: what they hold is never read as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table("row", "label", "suggested", "score", "text", title=f"the first {min(len(found), SHOWN)} of {len(found)} suspects")
    for one in found[:SHOWN]:
        text = " ".join(one.text.split())
        shown = text if len(text) <= EXCERPT else f"{text[:EXCERPT]}..."
        table.add_row(*map(Text, (one.id, one.label, one.suggested, f"{one.score:.2f}", shown)))
    return table
