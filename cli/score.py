"""``ulmfit score``: a data set of Parquet files by a model. ``ulmfit scored``: which version scored a file, which files a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, WorkspaceDir, options_of, print_json
from cli.predict import SOME_WITHOUT
from flows.request import ScoreRequest
from ulmfit.store import filesystem

if TYPE_CHECKING:
    from flows.score import ScoreSummary
    from ulmfit.prediction.scoring import ScoredFile

REGISTRY = "models:/"


@options_of(ScoreRequest, omit={"model", "dataset"})
def score(
    model: Annotated[str, typer.Argument(help=ScoreRequest.model_fields["model"].description)],
    dataset: Annotated[str, typer.Argument(help=ScoreRequest.model_fields["dataset"].description)],
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Each file of a data set with labels and probabilities, on Dask workers. A finished file is not done again. Exit code 3: some rows have none."""
    request = ScoreRequest.model_validate({"model": model, "dataset": dataset, **fields})
    summary = _run(request)
    _show(summary)
    if as_json:
        print_json(summary.model_dump(mode="json"))
    if not summary.complete:
        raise typer.Exit(SOME_WITHOUT)


def _run(request: ScoreRequest) -> ScoreSummary:
    """The flow beside a Prefect server, which is imported late: Prefect reads the server's address when it is first imported."""
    from cli.prefect_server import prefect_server
    from flows.score_plan import resolve_score
    from tasks.servers import server_failures

    plan = resolve_score(request)
    with prefect_server(plan.workspace), server_failures(plan.workspace):
        from flows.score import score_by
        from flows.tracked import start

        return start("score", score_by, plan)


def _show(summary: ScoreSummary) -> None:
    for bad in summary.bad_files:
        typer.echo(f"bad file  {bad.file}: {bad.fault.removeprefix(f'{bad.file}: ')}")
    for row in summary.bad_rows:
        typer.echo(f"bad row   {row.row} ({row.file}): {row.reason}")
    if more := sum(summary.refused.values()) - len(summary.bad_rows):
        typer.echo(f"          and {more:,} more; the column reason of the output has why")
    speed = f"; {summary.rows_per_second:,.1f} rows/s in {summary.seconds:,.1f} s" if summary.rows_per_second is not None else ""
    typer.echo(
        f"files   {summary.scored} scored, {summary.found} found finished, {len(summary.bad_files)} bad; {summary.rows:,} rows{speed}"
    )
    typer.echo(f"model   {summary.model}")
    typer.echo(f"output  {summary.output}")


def scored(
    what: Annotated[
        str,
        typer.Argument(
            help="a file that was scored, an output of scoring, or models:/NAME@ALIAS, models:/NAME/VERSION, or a model's folder"
        ),
    ],
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """Which version scored this file, or the files of this output; or which files this version has scored."""
    from tasks.scoring import scored_by, scorers_of
    from tasks.workspace import Workspace
    from ulmfit.prediction.scoring import records_in

    home = Workspace.named(workspace)
    if records := [] if what.startswith(REGISTRY) else records_in(what):
        typer.echo("\n".join(map(_line, records)))
    elif what.startswith(REGISTRY) or filesystem.is_folder(what):
        name, records = scored_by(home, what)
        lines = [
            f"{record.output}  {record.rows:,} rows of {record.file} (sha256 {record.digest[:12]}), {record.at:%Y-%m-%d %H:%M} UTC"
            for record in records
        ]
        typer.echo("\n".join([f"{name}: {len(records)} file{'' if len(records) == 1 else 's'}", *lines]))
    else:
        records = scorers_of(home, what)
        typer.echo("\n".join(map(_line, records)) if records else f"{what}: no scoring of this content is known")
    if as_json:
        print_json({"asked": what, "files": [record.model_dump(mode="json") for record in records]})


def _line(record: ScoredFile) -> str:
    made = f"could not score it: {record.fault}" if record.fault else f"{record.rows:,} rows of {record.file} into {record.output}"
    return f"{record.model}  {made}, {record.at:%Y-%m-%d %H:%M} UTC, run {record.run}"
