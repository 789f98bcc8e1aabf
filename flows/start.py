"""Run a plan as a flow run: what the command line does, where a deployment's flow resolves its request itself."""

from collections.abc import Callable
from typing import TypeVar

from prefect import flow

from flows.dag import RUNNER
from flows.plan import Plan
from flows.request import TextRequest

Result = TypeVar("Result")


def start(name: str, work: Callable[[Plan], Result], plan: Plan) -> Result:
    """``work(plan)`` as a flow run of that name. The request stands as its parameter; it is not resolved a second time."""

    @flow(name=name, task_runner=RUNNER, persist_result=False)
    def resolved(request: TextRequest) -> Result:
        return work(plan)

    return resolved(plan.request)
