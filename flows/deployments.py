"""What stands on a team's Prefect server: a deployment for each flow, their work pool, and the automations around them.

The deployments are declared in ``prefect.yaml`` and put there by code, for ``prefect deploy`` switches off schedules that somebody switched
on. A deployment that is there already keeps what people set: its schedules, its parameters, whether it is paused, limits, further variables
of its jobs. So does an automation that is switched off.
"""

from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ConfigDict, Field

from ulmfit.store.json import JsonObject

ROOT = Path(__file__).parent.parent
POOL = "ulmfit"
TAG, RETRAINING = "ulmfit", "retrain"  # of all deployments; of those whose crashed runs are started again
NEW_DATA = "ulmfit.data.new"  # the event that starts a retraining
HEARTBEAT = 30  # seconds between the signs of life of a run; Prefect allows no less
LOST = timedelta(minutes=5)  # without one: then the run counts as crashed. A server that restarts takes less

# Variables of a run. A Prefect server that is away is waited for for 8 minutes.
VARIABLES = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT), "PREFECT_CLIENT_MAX_RETRIES": "8"}


class Schedule(BaseModel):
    """When a deployment runs, from the first on: by ``cron``, ``active`` or waiting for somebody to switch it on."""

    model_config = ConfigDict(extra="forbid")

    slug: str
    cron: str
    timezone: str = "UTC"
    active: bool = False


class WorkPool(BaseModel):
    """Whose workers run a deployment."""

    model_config = ConfigDict(extra="forbid")

    name: str


class Declared(BaseModel):
    """A deployment of a flow, as an entry of ``prefect.yaml``. ``entrypoint``: the flow's file, from the folder of the checkout, and its name."""

    model_config = ConfigDict(extra="forbid")

    name: str
    description: str
    entrypoint: str
    tags: tuple[str, ...]
    parameters: JsonObject = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    work_pool: WorkPool = WorkPool(name=POOL)

    @property
    def flow(self) -> Flow[Any, Any]:
        """The flow itself."""
        file, _, name = self.entrypoint.partition(":")
        return getattr(import_module(file.removesuffix(".py").replace("/", ".")), name)


def declared() -> list[Declared]:
    """Our deployments: those of ``prefect.yaml``."""
    found = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    return [Declared.model_validate(entry) for entry in found["deployments"]]


def put_pool(client: SyncPrefectClient, name: str = POOL) -> tuple[str, str]:
    """A work pool; its type, which is another where a team made it, and what was done."""
    try:
        return client.read_work_pool(name).type, "there already"
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        return client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template)).type, "made"


def put_deployment(client: SyncPrefectClient, wanted: Declared) -> tuple[DeploymentResponse, str]:
    """Make a deployment, or bring the one that is there up to date; it as it is then, and what was done."""
    name = f"{wanted.flow.name}/{wanted.name}"
    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        _create(client, wanted)
        return client.read_deployment_by_name(name), "made"
    _update(client, wanted, found)
    return client.read_deployment_by_name(name), "brought up to date"


def _create(client: SyncPrefectClient, wanted: Declared) -> None:
    schedules = [
        DeploymentScheduleCreate(schedule=CronSchedule(cron=one.cron, timezone=one.timezone), active=one.active, slug=one.slug)
        for one in wanted.schedules
    ]
    client.create_deployment(
        client.create_flow(wanted.flow),
        wanted.name,
        description=wanted.description,
        tags=list(wanted.tags),
        parameters=wanted.parameters,
        schedules=schedules,
        work_pool_name=wanted.work_pool.name,
        entrypoint=wanted.entrypoint,
        pull_steps=_pull(),
        job_variables={"env": VARIABLES},
        parameter_openapi_schema=parameter_schema(wanted.flow).model_dump(),
        enforce_parameter_schema=True,
    )


def _update(client: SyncPrefectClient, wanted: Declared, found: DeploymentResponse) -> None:
    """Only what is named here changes."""
    variables = found.job_variables or {}
    update = DeploymentUpdate(
        description=wanted.description,
        tags=sorted({*wanted.tags, *found.tags}),
        work_pool_name=found.work_pool_name or wanted.work_pool.name,
        entrypoint=wanted.entrypoint,
        pull_steps=_pull(),
        job_variables={**variables, "env": VARIABLES | (variables.get("env") or {})},
        parameter_openapi_schema=parameter_schema(wanted.flow).model_dump(),
        enforce_parameter_schema=True,
    )
    client.update_deployment(found.id, update)


def _pull() -> list[JsonObject]:
    """A worker runs flows in this checkout."""
    return [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]


def automations(deployed: dict[str, DeploymentResponse], lost: timedelta = LOST) -> Iterator[AutomationCore]:
    """What the server does by itself. ``deployed``: our deployments by name. ``lost``: without a sign of life, a run counts as crashed."""
    of_ours = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
    ended = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended", "Restarted")}
    yield AutomationCore(
        name="ulmfit: lost runs",
        description="A run without a sign of life counts as crashed: Prefect's server does not check this itself.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=of_ours,
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *ended},
            posture=Posture.Proactive,
            threshold=1,
            within=lost,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="no sign of life: the worker or its machine was lost")],
    )
    yield AutomationCore(
        name="ulmfit: crashed retrainings",
        description="Starts the reconciler as soon as a retraining has crashed.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.id": f"prefect.tag.{RETRAINING}", "prefect.resource.role": "tag"},
            expect={"prefect.flow-run.Crashed"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[RunDeployment(deployment_id=deployed["reconcile"].id)],
    )
    request = {"__prefect_kind": "json", "value": {"__prefect_kind": "jinja", "template": "{{ event.payload | tojson }}"}}
    yield AutomationCore(
        name="ulmfit: new data",
        description=f"The event {NEW_DATA} starts a retraining; its payload is the request.",
        trigger=EventTrigger(expect={NEW_DATA}, posture=Posture.Reactive, threshold=1),
        actions=[RunDeployment(deployment_id=deployed["retrain"].id, parameters={"request": request})],
    )


def put_automation(client: SyncPrefectClient, wanted: AutomationCore) -> tuple[bool, str]:
    """Make an automation, or bring the one of its name up to date, switched on or off as it is; whether it is on, and what was done."""
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return True, "made"
    kept, *doubles = sorted(found, key=lambda automation: str(automation.id))
    for double in doubles:  # of two deploys at once
        client.delete_automation(double.id)
    client.update_automation(kept.id, wanted.model_copy(update={"enabled": kept.enabled}))
    return kept.enabled, "brought up to date"


def leases_in_memory(client: SyncPrefectClient) -> bool:
    """Whether the server forgets who holds which limit when it restarts: then a run under a limit crashes minutes later."""
    settings = client.request("GET", "/admin/settings").json()
    storage = settings.get("server", {}).get("concurrency", {}).get("lease_storage", "")
    return str(storage).endswith(".memory")
