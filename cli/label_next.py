"""``ulmfit label-next``: the rows of a file that are worth labelling next."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import BaseModel, Field

from cli.options import WORKSPACE, AsJson, options_of, print_json
from cli.predict import STANDARD_INPUT, load_predictor, records_named, row_bar
from ulmfit.errors import UserError
from ulmfit.store import filesystem

if TYPE_CHECKING:
    from ulmfit.experiments.to_label import Counts
    from ulmfit.prediction.predictor import Predictor
    from ulmfit.prediction.records import Record, Records

log = logging.getLogger(__name__)


class LabelNextRequest(BaseModel):
    """The options of ``ulmfit label-next``."""

    output: str = Field(description="file to write, which is not there yet: csv, tsv, jsonl or parquet")
    number: int = Field(50, ge=1, description="rows to choose")
    strategy: Literal["breaking-ties", "random", "diverse"] = Field(
        "breaking-ties",
        description="breaking-ties: the texts of which the model is least sure; diverse: such texts that differ from each other; random",
    )
    text_column: str = Field("text", description="column that holds the text")
    label_column: str = Field("label", description="column for the label; rows that have one are not chosen")
    labelled: list[str] = Field(
        default_factory=list, description="file of rows that are labelled or were chosen before: they are not chosen again"
    )
    encoding: str = Field("utf-8", description="encoding of the text files, and of standard input")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of random, and of the clusters of diverse")
    workspace: str | None = Field(None, description=WORKSPACE)


@options_of(LabelNextRequest)
def label_next(
    model: Annotated[str, typer.Argument(help="a model's folder, or models:/NAME@ALIAS, or models:/NAME/VERSION")],
    file: Annotated[str, typer.Argument(help="csv, tsv, jsonl, parquet, txt (a text per line) or a folder; -: lines of standard input")],
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """The rows of FILE to label next, with an empty column for the label. Once that is filled in, --corpus reads the file."""
    request = LabelNextRequest.model_validate(fields)
    _check(request, file)
    records = records_named(file, request.text_column, request.encoding)
    given = _given(request)
    chosen, counts = _chosen(load_predictor(model, request.workspace), records, request, given)
    if not chosen:
        raise UserError(f"{file}: no row is left to label ({counts.line}); name a file that has some")
    _write(chosen, records, request)
    log.info("%d of %s; written to %s", len(chosen), counts.line, request.output)
    if len(chosen) < request.number:
        log.warning("--number %d: the file has no more rows to label than %d", request.number, len(chosen))
    if as_json:
        facts = {"model": model, "strategy": request.strategy, "rows": counts.rows, "refused": dict(counts.refused)}
        print_json(facts | {"labelled": counts.labelled, "chosen": len(chosen), "output": request.output})


def _check(request: LabelNextRequest, file: str) -> None:
    """UserError for what can be found before the model is loaded."""
    from ulmfit.corpora.reading.reading_errors import check_encoding
    from ulmfit.corpora.reading.rows import data_files
    from ulmfit.prediction.answer_files import check_output

    check_encoding(request.encoding)
    read = None if file == STANDARD_INPUT else file
    for location in [*filter(None, [read]), *request.labelled]:
        data_files(location)
    if read is None and sys.stdin is None:
        raise UserError("standard input is closed; name a FILE")
    check_output(request.output, read)
    if filesystem.exists(request.output):
        raise UserError(f"--output {request.output}: is there already, and may hold labels; name another file, or remove it")
    if request.label_column == request.text_column:
        raise UserError(f"--label-column {request.label_column}: is the column of the text; name another")


def _given(request: LabelNextRequest) -> set[bytes]:
    """Digests of the texts that are labelled or given out, whatever their case and white space."""
    from ulmfit.corpora.text_digests import fold

    files = (records_named(file, request.text_column, request.encoding) for file in request.labelled)
    return {fold(record.text) for records in files for record in records.read() if not record.reason}


def _chosen(predictor: Predictor, records: Records, request: LabelNextRequest, given: Collection[bytes]) -> tuple[list[Record], Counts]:
    """The records chosen from those that have a text and no label, and counts of all."""
    from ulmfit.corpora.text_digests import fold
    from ulmfit.experiments import label_next
    from ulmfit.experiments.to_label import Counts, is_labelled
    from ulmfit.prediction.answers import pieces

    counts = Counts()
    candidates: label_next.Candidates[Record] = label_next.Candidates(label_next.candidates_for(request.number, request.strategy))
    with row_bar("label-next", records.number) as bar:
        for piece in pieces(records.read()):
            counts.count(piece)
            usable = [record for record in piece if not record.reason]
            free = [record for record in usable if not (is_labelled(record, request.label_column) or fold(record.text) in given)]
            counts.labelled += len(usable) - len(free)
            texts = [record.text for record in free]
            if request.strategy == "random":
                scores = label_next.chance(texts, request.seed)
            else:
                scores = label_next.margins(predictor.probabilities(texts, shown=False), predictor.thresholds)
            candidates.add(free, texts, scores)
            bar(piece)
    vectors = predictor.vectors if request.strategy == "diverse" else None
    return label_next.choose(candidates.sorted(), request.number, vectors, request.seed), counts


def _write(chosen: list[Record], records: Records, request: LabelNextRequest) -> None:
    from ulmfit.experiments.to_label import ToLabel
    from ulmfit.prediction.answer_files import written

    with written(request.output, ToLabel(records.columns, request.label_column)) as write:
        write(chosen)
