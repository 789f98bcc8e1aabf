"""``ulmfit deploy``: our deployments on the team's Prefect server, made or brought up to date."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import typer

from cli.options import WorkspaceDir
from ulmfit.errors import RunFailed, UserError

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=prefect.server.concurrency.lease_storage.filesystem"


def deploy(workspace: WorkspaceDir = None) -> None:
    """Put the deployments, their work pool and their automations on the Prefect server of PREFECT_API_URL.

    Deployments that are there keep their schedules, parameters and limits as people set them; automations stay switched on or off.
    """
    import httpx

    from cli.prefect_server import check_prefect
    from tasks.servers import cause, without_password
    from tasks.workspace import Workspace

    server = os.environ.get("PREFECT_API_URL")
    if not server:
        raise UserError(
            "PREFECT_API_URL is not set: name the team's Prefect server, as http://HOST:4200/api; prefect server start starts one"
        )
    check_prefect(Workspace.named(workspace))

    try:
        pools = _put()
    except httpx.HTTPError as error:
        raise RunFailed(
            f"PREFECT_API_URL={without_password(server)}: the Prefect server failed ({cause(error)}); see its log, and run this again: it is safe to repeat"
        ) from error
    typer.echo(
        "workers     in a checkout, on each machine that works; those of cpu and gpu make the stages of jobs with --stages distributed:"
    )
    for pool, kind in pools.items():
        typer.echo(
            f"            PREFECT_API_URL={shlex.quote(without_password(server))} prefect worker start --pool {pool} --type {kind} --limit 1"
        )


def _put() -> dict[str, str]:
    """Make everything, or bring it up to date; the types of the work pools by name."""
    from prefect.client.orchestration import get_client

    from flows import deployments

    pools, there = {}, {}
    with get_client(sync_client=True) as client:
        for pool in dict.fromkeys(wanted.work_pool.name for wanted in deployments.declared()):
            pools[pool], done = deployments.put_pool(client, pool)
            typer.echo(f"work pool   {pool}: {done}")
        for wanted in deployments.declared():
            there[wanted.name], done = deployments.put_deployment(client, wanted)
            typer.echo(f"deployment  {wanted.name}: {done}; {_schedules(there[wanted.name])}")
        for automation in deployments.automations(there):
            on, done = deployments.put_automation(client, automation)
            typer.echo(f"automation  {automation.name}: {done}; {'on' if on else 'switched off'}")
        limited = [name for name, one in there.items() if one.concurrency_limit or one.global_concurrency_limit]
        if limited and deployments.leases_in_memory(client):
            names = ", ".join(limited)
            typer.echo(
                f"warning     {names}: a run under a limit crashes when this server restarts; start the server with {LEASES}, or take the limit away"
            )
    return pools


def _schedules(deployment: DeploymentResponse) -> str:
    schedules = deployment.schedules
    if not schedules:
        return "no schedule"
    told = [f"{getattr(one.schedule, 'cron', None) or type(one.schedule).__name__} {'on' if one.active else 'off'}" for one in schedules]
    return f"schedule {', '.join(told)}{', paused' if deployment.paused else ''}"
