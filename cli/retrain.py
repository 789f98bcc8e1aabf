"""``ulmfit retrain``: a cycle of a model's life. Without reason to train it ends before a Prefect server is started."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from cli.options import AsJson, options_of, print_json
from flows.request import RetrainRequest

if TYPE_CHECKING:
    from flows.cycle import Due, RetrainSummary


@options_of(RetrainRequest, omit={"out"})
def retrain(*, as_json: AsJson = False, **fields: object) -> None:
    """Look at new text; if there is reason to, train, compare with the champion, and promote what is fit for it."""
    from flows.cycle import cycle
    from tasks.servers import server_failures
    from tasks.workspace import Workspace

    request = RetrainRequest.model_validate(fields)
    with server_failures(Workspace.named(request.workspace)):
        summary = cycle(request, train)
    show(summary, request.workspace)
    if as_json:
        print_json(summary.model_dump(mode="json"))


def train(due: Due) -> RetrainSummary:
    """The training as a flow run, beside a Prefect server."""
    from cli.prefect_server import prefect_server

    with prefect_server(due.plan.workspace):
        from flows.retrain import train_cycle
        from flows.tracked import start

        return start("retrain", lambda _: train_cycle(due), due.plan)


def show(summary: RetrainSummary, workspace: str | None) -> None:
    """What came of it, and where more is to be read."""
    decision = summary.decision
    if summary.training:
        from cli.workflows import show_training

        show_training(summary.training)
    typer.echo(f"{summary.model}: {summary.outcome}")
    for line in (summary.retraining.why if summary.retraining else None, decision.why):
        if line:
            typer.echo(f"why     {line}")
    elsewhere = f" --workspace {shlex.quote(workspace)}" if workspace else ""
    if summary.outcome != "would train":
        typer.echo(f"history ulmfit history {shlex.quote(summary.model)}{elsewhere}")
