"""``ulmfit train``, ``preprocess`` and ``pretrain``: each reads a request from its options, runs the flow and prints the result."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.options import AsJson, options_of, print_json
from flows.requests import PretrainJob, TextJob, TrainJob
from ulmfit.compute.pages import keep_pages
from ulmfit.directions import DIRECTIONS

WIDTH = 110  # of tables that are not printed on a terminal


@options_of(TrainJob, omit={"more", "out"})
def train(*, as_json: AsJson = False, **fields: object) -> None:
    """The main job: two corpora in, a registered forward+backward classifier out."""
    keep_pages()
    request = TrainJob.model_validate(fields)
    with server_for(request):
        from flows.train import train as flow

        summary = flow(request)
    _show_result(summary)
    if as_json:
        print_json(summary)


@options_of(TextJob, omit={"corpus", "more"})
def preprocess(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="names of known corpora, files or folders, taken as one corpus")
    ],
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Preprocessing by itself: text in, shards of ids and a table of its quality out."""
    request = TextJob.model_validate({"corpus": corpora[0], "more": corpora[1:], **fields})
    with server_for(request):
        from flows.preprocess import preprocess as flow

        summary = flow(request)
    from ulmfit.report.corpus_quality import CorpusQuality
    from ulmfit.report.terminal import quality_table

    _console().print(quality_table(CorpusQuality.model_validate(summary["quality"])))
    for stage in summary["stages"]:
        typer.echo(f"{stage['name']:<12} {'found' if stage['cached'] else 'made':<6} {stage['path']}")
    if as_json:
        print_json(summary)


@options_of(PretrainJob, omit={"more", "out", "label_column", "test", "unlabelled", "directions"})
def pretrain(
    direction: Annotated[str, typer.Option("--direction", help=PretrainJob.model_fields["directions"].description)] = "both",
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """A language model of general text, forward and backward: what train's --pretrained takes."""
    keep_pages()
    request = PretrainJob.model_validate({"directions": DIRECTIONS if direction == "both" else (direction,), **fields})
    with server_for(request):
        from flows.pretrain import pretrain as flow

        summary = flow(request)
    for trained, facts in summary["directions"].items():
        quality = f"perplexity {facts['valid_perplexity']:.1f}" if facts["valid_perplexity"] else "no text to validate on"
        typer.echo(f"{trained:<9} {facts['trained_tokens']:,} tokens, {quality}  {summary['export'] or summary['models'][trained]}")
    if as_json:
        print_json(summary)


@contextmanager
def server_for(request: TextJob) -> Iterator[None]:
    """Check the request, and keep a Prefect server for the time of its flow. UserError where the request is at fault.

    The flow is imported inside: Prefect reads the server's address when it is first imported.
    """
    from cli.prefect_server import prefect_server
    from tasks.workspace import Workspace

    request.check()
    with prefect_server(Workspace.open(request.workspace)):
        yield


def _show_result(summary: dict[str, Any]) -> None:
    from ulmfit.evaluation.results import Results
    from ulmfit.report.terminal import result_table

    _console().print(result_table(Results.model_validate(summary["results"])))
    stages, model, run = summary["stages"], summary["model"], summary["run"]
    made = sum(not stage["cached"] for stage in stages)
    typer.echo(f"stages  {made} made, {len(stages) - made} found finished; {run['seconds']:.0f} s in all")
    typer.echo(f"report  {summary['report']}")
    typer.echo(f"model   {model['uri']} ({model['alias']})")
    typer.echo(f"try it  ulmfit predict models:/{model['name']}@{model['alias']} --text '...'")
    typer.echo(f"look    mlflow ui --backend-store-uri {run['tracking_uri']}")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH)
