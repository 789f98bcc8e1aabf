"""``ulmfit data-quantity``, ``ablation`` and ``benchmark``: studies of many trials, whose plan can be looked at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from cli.options import AsJson, console, options_of, print_json
from flows.study_request import AblationRequest, BenchmarkRequest, DataQuantityRequest, StudyRequest

if TYPE_CHECKING:
    from flows.study_plan import StudyPlan

OMITTED = {"corpus", "more", "out", "minutes", "model_name", "unlabelled", "stages"}
DryRun = Annotated[bool, typer.Option("--dry-run", help="print the plan: trials, shared stages, minutes here; train nothing")]
UnlabelledFile = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--unlabelled-file", help="file of further text of the domain, without labels"),
]


@options_of(DataQuantityRequest, omit=OMITTED | {"documents"})
def data_quantity(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="name of a known corpus, a file or a folder")],
    *,
    unlabelled: Annotated[str, typer.Option(help=DataQuantityRequest.model_fields["documents"].description)] = "all",
    unlabelled_file: UnlabelledFile = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """How many labels, and how much text of the domain, a model needs: learning curves of methods side by side."""
    request = DataQuantityRequest.model_validate({"corpus": corpus, "documents": unlabelled, "unlabelled": unlabelled_file, **fields})
    study(request, "data-quantity", dry_run, as_json)


@options_of(AblationRequest, omit=OMITTED | {"decoder"})
def ablation(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="name of a known corpus, a file or a folder")],
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Which parts of the method matter: the paper's Tables 4 to 7 and Figure 4, ours beside the paper's."""
    study(AblationRequest.model_validate({"corpus": corpus, **fields}), "ablation", dry_run, as_json)


@options_of(BenchmarkRequest, omit=OMITTED | {"corpora"})
def benchmark(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="names of known corpora, files or folders, one after the other")
    ],
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Methods side by side on the same rows of several corpora."""
    study(BenchmarkRequest.model_validate({"corpus": corpora[0], "corpora": corpora, **fields}), "benchmark", dry_run, as_json)


def study(request: StudyRequest, name: str, dry_run: bool, as_json: bool) -> None:
    """Resolve a study, and run it beside a Prefect server; or print its plan."""
    from cli.prefect_server import prefect_server
    from flows.study_plan import resolve_study
    from tasks.servers import server_failures

    plan = resolve_study(request)
    if dry_run:
        return look_ahead(plan, as_json)
    with prefect_server(plan.base.workspace), server_failures(plan.base.workspace):
        from flows.study import run_as_flow

        summary = run_as_flow(plan, name)
    from ulmfit.report.terminal import study_table

    console().print(study_table(summary.means))
    typer.echo(f"stages  {summary.made} made, {summary.found} found finished; {summary.run.seconds:.0f} s in all")
    typer.echo(f"report  {summary.report}")
    if as_json:
        print_json(summary.model_dump(mode="json"))


def look_ahead(plan: StudyPlan, as_json: bool) -> None:
    """Print the plan of a study."""
    from cli.prefect_server import import_prefect

    import_prefect(plan.base.workspace)
    from flows.study_foresight import foresee

    outlook = foresee(plan)
    for line in outlook.lines():
        typer.echo(line)
    if as_json:
        print_json(outlook.model_dump(mode="json"))
