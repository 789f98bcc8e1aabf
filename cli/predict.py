"""``ulmfit predict``: a model from a folder or the registry; texts from options, a file, a folder or standard input."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from pydantic import BaseModel, Field

from cli.options import WORKSPACE, AsJson, options_of, print_json
from ulmfit.errors import UserError
from ulmfit.progress import progress

if TYPE_CHECKING:
    from ulmfit.prediction.answer_files import Form, Write
    from ulmfit.prediction.answers import Answer, Summary
    from ulmfit.prediction.predictor import Predictor
    from ulmfit.prediction.records import Records
    from ulmfit.store.json import JsonObject

log = logging.getLogger(__name__)

STANDARD_INPUT = "-"
SOME_WITHOUT = 3  # exit code: rows without a prediction
LONG = 500  # rows from which on progress is shown


class PredictRequest(BaseModel):
    """The options of ``ulmfit predict``."""

    text: list[str] = Field(default_factory=list, description="a text")
    text_column: str = Field("text", description="column that holds the text")
    encoding: str = Field("utf-8", description="encoding of the text files, and of standard input")
    output: str | None = Field(None, description="file to write: csv, tsv, jsonl or parquet; without it, JSON Lines on standard output")
    explain: bool = Field(False, description="name the words that carry each label; with --output FILE.html as coloured text")
    warn: bool = Field(False, description="add columns that say how strange the text is to the model: perplexity, unknown, warning")
    abstain_below: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="give a label only if it is sure enough that this share of the given labels is right, by held-out rows (0.95)",
    )
    workspace: str | None = Field(None, description=WORKSPACE)


@options_of(PredictRequest)
def predict(
    model: Annotated[str, typer.Argument(help="a model's folder, or models:/NAME@ALIAS, or models:/NAME/VERSION")],
    file: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="csv, tsv, jsonl, parquet, txt (a text per line) or a folder; - or nothing: lines of standard input"),
    ] = None,
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Each row of the input with its label, probabilities, or the reason why it has none. Exit code 3: some rows have none."""
    request = PredictRequest.model_validate(fields)
    _check(request, file)
    predictor = load_predictor(model, request.workspace)
    summary = predict_records(predictor, _records(request, file), request, model if as_json else None)
    if summary.refused or request.output:
        log.info("%s%s", summary.line, f"; written to {request.output}" if request.output else "")
    if summary.refused:
        raise typer.Exit(SOME_WITHOUT)


def predict_records(predictor: Predictor, records: Records, request: PredictRequest, model: str | None = None) -> Summary:
    """Predict and write all ``records``: to the request's output, or standard output.

    ``model``: its name, where standard output gets one JSON object for all; with an output that is the summary.
    """
    from ulmfit.prediction.answer_files import Form, written
    from ulmfit.prediction.answers import PIECE_RECORDS, Summary, Wishes, answers
    from ulmfit.prediction.resume import kept_beside

    separator, output = predictor.separator if predictor.task == "multi-label" else None, request.output
    wishes = Wishes(request.explain, predictor.sure_from(request.abstain_below) if request.abstain_below else 0.0, request.warn)
    form = Form(records.columns, predictor.labels, separator, request.explain, request.warn)
    long = request.explain or records.number is None or records.number > PIECE_RECORDS
    rows: list[JsonObject] = []
    keep: Write = lambda given: rows.extend(map(form.nested, given))
    summary = Summary()
    with (
        kept_beside(output, f"{predictor.digest} {request.explain} {request.warn}") if output and long else nullcontext() as kept,
        written(output, form) if output else nullcontext(keep) if model else _standard_output(form) as write,
        row_bar("predict", records.number) as bar,
    ):
        for piece in answers(predictor, records.read(), wishes, kept):
            write(piece)
            summary.add(piece)
            bar(piece)
    if model:
        facts: JsonObject = {"model": model, "rows": summary.rows, "refused": dict(summary.refused), "unsure": summary.unsure}
        print_json(facts | ({"output": output} if output else {"predictions": rows}))
    return summary


@contextmanager
def _standard_output(form: Form) -> Iterator[Write]:
    """Writes answers to standard output, a line of JSON each. UserError where it is closed or full."""
    from ulmfit.prediction.answer_files import json_line

    stream = sys.stdout
    if stream is None:
        raise UserError("standard output is closed; name a file with --output")

    def write(given: Sequence[Answer]) -> None:
        for answer in given:
            stream.write(json_line(form.nested(answer), stream.encoding or "utf-8"))
        stream.flush()

    try:
        yield write
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"standard output cannot be written ({error.strerror}); name a file with --output") from error


@contextmanager
def row_bar(name: str, rows: int | None) -> Iterator[Callable[[Sequence[object]], None]]:
    """Counts rows on a progress bar, if there are many."""
    if rows is None or rows < LONG:
        yield lambda given: None
        return
    with progress(name, rows, "rows") as bar:
        yield lambda given: bar.advance(len(given))


def _check(request: PredictRequest, file: str | None) -> None:
    """UserError for what can be found before the model is loaded."""
    from ulmfit.corpora.reading.reading_errors import check_encoding
    from ulmfit.corpora.reading.rows import data_files

    check_encoding(request.encoding)
    if request.text and file is not None:
        raise UserError(f"both --text and {file} are given; give one of them")
    read = None if file is None or file == STANDARD_INPUT else file
    if read is not None:
        data_files(read)
    elif not request.text:
        if sys.stdin is None:
            raise UserError("standard input is closed; give a FILE, --text '...', or lines on standard input")
        if file is None and sys.stdin.isatty():
            raise UserError("nothing to predict: give a FILE, --text '...', or lines on standard input")
    if request.output is not None:
        from ulmfit.prediction.answer_files import check_output

        check_output(request.output, read, request.explain)


def load_predictor(model: str, workspace: str | None) -> Predictor:
    """The model of a folder or of the registry in ``workspace``. UserError where there is none."""
    from tasks.workspace import Workspace
    from ulmfit.compute.precision import take_kept_gain
    from ulmfit.prediction.predictor import Predictor

    home = Workspace.named(workspace)
    take_kept_gain(home.bf16_gain)
    if not model.startswith("models:/"):
        return Predictor(Path(model))
    from tasks.champion import FORGOTTEN_TAG
    from tasks.registry import load_version, resolve

    version = resolve(home, model)
    if found := version.tags.get(FORGOTTEN_TAG):
        log.warning("%s (version %s) had read documents that are forgotten since %s", model, version.version, found.partition(" ")[0])
    return load_version(home, version)


def _records(request: PredictRequest, file: str | None) -> Records:
    from ulmfit.prediction.records import records_of_texts

    return records_of_texts(request.text) if request.text else records_named(file, request.text_column, request.encoding)


def records_named(file: str | None, text_column: str, encoding: str) -> Records:
    """The records of a file or folder; of standard input where that is what ``file`` says."""
    from ulmfit.prediction.records import records_of_files, records_of_lines

    if file is None or file == STANDARD_INPUT:
        return records_of_lines(sys.stdin.buffer, "standard input", encoding)
    return records_of_files(os.fspath(file), text_column, encoding)
