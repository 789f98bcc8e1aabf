"""The DAG as a value: stages by name, each wired to the outputs of others; and its run under Prefect.

``dag.add(name, finetune, lm, ids, vocab, config, direction)`` takes what ``finetune`` takes, and the type checker holds it to that. What it
returns stands for the stage's output until that is made: it can be handed on to another ``add``, and looked up in the results.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.run import Finished, Job, run_stage
from ulmfit.stages.outputs import Output
from ulmfit.stages.stage import Stage, StageName

P = ParamSpec("P")
Made = TypeVar("Made", bound=Output[Any])

RUNNER: Any = ThreadPoolTaskRunner(max_workers=8)


@dataclass(frozen=True, eq=False)
class Node:
    """A stage that is still to be made: what makes it of which arguments, among them other nodes. ``after``: what it waits for besides."""

    name: StageName
    stage: Callable[..., Stage[Any]]
    arguments: tuple[object, ...]
    keywords: Mapping[str, object] = field(default_factory=dict)
    after: tuple["Node", ...] = ()

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(f"{self.name} is not made yet: hand it on to another stage, or look it up in the results of the DAG")


@dataclass(frozen=True)
class Dag:
    """Nodes in an order in which each comes behind those it needs. ``waits``: what further nodes wait for besides."""

    nodes: list[Node] = field(default_factory=list)
    waits: tuple[Node, ...] = ()

    def add(self, name: StageName, stage: Callable[P, Stage[Made]], *arguments: P.args, **keywords: P.kwargs) -> Made:
        """A further stage; it starts when the nodes among its arguments have ended."""
        node = Node(name, stage, arguments, keywords, self.waits)
        self.nodes.append(node)
        return cast(Made, node)

    def after(self, *outputs: Output[Any]) -> "Dag":
        """The same DAG; what is added to it this way starts when ``outputs`` have ended too."""
        return Dag(self.nodes, tuple(cast(Node, output) for output in outputs))


class Results:
    """The finished stages of a DAG, in its order."""

    def __init__(self, finished: dict[Node, Finished[Any]]):
        self._finished = finished

    def __getitem__(self, output: Made) -> Made:
        """The output behind what :meth:`Dag.add` returned."""
        return cast(Made, self._finished[cast(Node, output)].output)

    def __iter__(self) -> Iterator[Finished[Any]]:
        return iter(self._finished.values())


def run(dag: Dag, job: Job) -> Results:
    """Run all stages as Prefect tasks of the current flow run. In DAG order the first that failed is the cause; its exception is raised."""
    futures: dict[Node, PrefectFuture[Finished[Any]]] = {}
    for node in dag.nodes:
        promised = lambda argument: futures[argument] if isinstance(argument, Node) else argument
        arguments = [promised(argument) for argument in node.arguments]
        keywords = {name: promised(argument) for name, argument in node.keywords.items()}
        task: Any = run_stage.with_options(task_run_name=str(node.name))
        futures[node] = task.submit(job, node.name, node.stage, arguments, keywords, wait_for=[futures[other] for other in node.after])
    return Results({node: future.result() for node, future in futures.items()})
