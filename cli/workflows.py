"""``ulmfit train``, ``preprocess`` and ``pretrain``: each reads a request from its options, runs the flow and prints the result."""

from __future__ import annotations

import shlex
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import AsJson, console, options_of, print_json
from flows.request import PreprocessRequest, PretrainRequest, TextRequest, TrainRequest
from ulmfit.directions import DIRECTIONS

if TYPE_CHECKING:
    from ulmfit.decisions.decision import Decision
    from ulmfit.report.summary import Summary


@options_of(TrainRequest, omit={"more", "out"})
def train(*, as_json: AsJson = False, **fields: object) -> None:
    """The main job: two corpora in, a registered forward+backward classifier out."""
    request = TrainRequest.model_validate(fields)
    summary = run_flow(request, "train")
    show_result(summary, request.workspace)
    if as_json:
        print_json(summary.model_dump(mode="json"))


@options_of(PreprocessRequest, omit={"corpus", "more"})
def preprocess(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="names of known corpora, files or folders, taken as one corpus")
    ],
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Preprocessing by itself: text in, shards of ids and a table of its quality out."""
    request = PreprocessRequest.model_validate({"corpus": corpora[0], "more": corpora[1:], **fields})
    summary = run_flow(request, "preprocess")
    from ulmfit.report.terminal import quality_table

    console().print(quality_table(summary.quality))
    for stage in summary.stages:
        typer.echo(f"{stage.name:<12} {'found' if stage.cached else 'made':<6} {stage.path}")
    if as_json:
        print_json(summary.model_dump(mode="json"))


@options_of(PretrainRequest, omit={"more", "out", "label_column", "test", "unlabelled", "directions"})
def pretrain(
    direction: Annotated[str, typer.Option("--direction", help=PretrainRequest.model_fields["directions"].description)] = "both",
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """A language model of general text, forward and backward: what train's --pretrained takes."""
    request = PretrainRequest.model_validate({"directions": DIRECTIONS if direction == "both" else (direction,), **fields})
    summary = run_flow(request, "pretrain")
    for trained, facts in summary.directions.items():
        quality = f"perplexity {facts.valid_perplexity:.1f}" if facts.valid_perplexity else "no text to validate on"
        typer.echo(f"{trained:<9} {facts.trained_tokens:,} tokens, {quality}  {summary.export or summary.models[trained]}")
    if as_json:
        print_json(summary.model_dump(mode="json"))


def run_flow(request: TextRequest, module: str) -> Any:
    """Resolve a request, and run its flow beside a Prefect server; returns the flow's summary. UserError where the request is at fault.

    ``module`` of flows/ has the flow's work, ``{module}_by(plan)``. It is imported late: Prefect reads the server's address when it is
    first imported.
    """
    import psutil

    from cli.prefect_server import prefect_server
    from flows.plan import resolve
    from tasks.servers import server_failures

    plan = replace(resolve(request), begun=psutil.Process().create_time())
    with prefect_server(plan.workspace), server_failures(plan.workspace):
        from flows.tracked import start

        return start(module, getattr(import_module(f"flows.{module}"), f"{module}_by"), plan)


def show_result(summary: Summary, workspace: str | None) -> None:
    """Print the scores of a training, and what to do next: commands that a shell takes as they are."""
    show_training(summary)
    model = summary.model
    elsewhere = f" --workspace {shlex.quote(workspace)}" if workspace else ""
    for line in _verdict(summary.decision, elsewhere):
        typer.echo(line)
    typer.echo(f"try it  ulmfit predict {shlex.quote(f'models:/{model.name}@{model.alias}')}{elsewhere} --text '...'")
    typer.echo(f"look    mlflow ui --backend-store-uri {shlex.quote(summary.run.tracking_uri)}")


def show_training(summary: Summary) -> None:
    """Print the scores of a training, its stages, and where report and model are."""
    from ulmfit.report.terminal import result_table

    console().print(result_table(summary.results))
    made = sum(not stage.cached for stage in summary.stages)
    model, run = summary.model, summary.run
    typer.echo(f"stages  {made} made, {len(summary.stages) - made} found finished; {run.seconds:.0f} s in all")
    typer.echo(f"report  {summary.report}")
    typer.echo(f"model   {model.uri} ({model.alias})")


def _verdict(compared: Decision | None, elsewhere: str) -> list[str]:
    """What the comparison with the champion came to, and the command that makes the new version champion."""
    if compared is None:
        return ["in use  this version: it is the champion"]
    command = f"ulmfit promote {shlex.quote(compared.model)} {compared.version}{elsewhere} --because '...'"
    return [f"verdict {compared.why}", f"in use  version {compared.champion}, as before; to make the new one champion: {command}"]
