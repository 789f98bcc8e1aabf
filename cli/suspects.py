"""``ulmfit suspects``: the rows of a corpus whose labels may be wrong."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel, Field

from cli.options import WORKSPACE, AsJson, console, options_of, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from ulmfit.experiments.suspect_rows import Labelled, Suspect

log = logging.getLogger(__name__)

SHOWN, EXCERPT = 10, 60  # rows on the terminal, and letters of their texts


class SuspectsRequest(BaseModel):
    """The options of ``ulmfit suspects``."""

    output: str | None = Field(None, description="file for all of them: csv, tsv, jsonl or parquet; without it, the first are shown")
    text_column: str = Field("text", description="column that holds the text")
    label_column: str = Field("label", description="column that holds the label")
    encoding: str = Field("utf-8", description="encoding of the text files")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the folds")
    workspace: str | None = Field(None, description=WORKSPACE)


@options_of(SuspectsRequest)
def suspects(
    corpus: Annotated[str, typer.Argument(help="name of a known corpus, a file (csv, tsv, jsonl, parquet) or a folder")],
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Rows whose labels may be wrong, the most doubtful first. Nothing is changed or left out: look at them."""
    request = SuspectsRequest.model_validate(fields)
    _check(request, corpus)
    labelled = _labelled(request, corpus)
    from ulmfit.experiments.suspect_rows import suspect_rows
    from ulmfit.experiments.suspects import METHOD

    found = suspect_rows(labelled, request.seed)
    if request.output:
        _write(found, request.output)
    console().print(_table(found))
    log.info(
        "%d labels of %d rows may be wrong%s", len(found), len(labelled.texts), f"; written to {request.output}" if request.output else ""
    )
    if as_json:
        facts = {"corpus": corpus, "rows": len(labelled.texts), "refused": dict(labelled.refused), "method": METHOD}
        print_json(facts | {"suspects": len(found), "output": request.output})


def _check(request: SuspectsRequest, corpus: str) -> None:
    """UserError for what can be found before the corpus is read."""
    from ulmfit.corpora.catalog.entries import CATALOG
    from ulmfit.corpora.source import CorpusSource, peek
    from ulmfit.prediction.answer_files import check_output

    if request.output:
        check_output(request.output, None if corpus in CATALOG else corpus)
    peek(CorpusSource(corpus, request.text_column, request.label_column, encoding=request.encoding))


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
