"""The DAG as a value: stages by name, each wired to the outputs of others; and its run under Prefect.

``dag.add(name, finetune, lm, ids, vocab, config, direction)`` takes what ``finetune`` takes, and the type checker holds it to that. What it
returns stands for the stage's output until that is made: it can be handed on to another ``add``, and looked up in the results.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.run import Finished, Job, run_stage
from ulmfit.stages.outputs import Output
from ulmfit.stages.stage import Stage, StageName
from ulmfit.store.artifacts import Store

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

    @property
    def wiring(self) -> tuple[object, ...]:
        """What tells it from another node of the same stage."""
        return self.arguments, self.keywords, self.after

    @property
    def needed(self) -> list["Node"]:
        """The nodes among its arguments, and those that it waits for besides."""
        return [argument for argument in (*self.arguments, *self.keywords.values(), *self.after) if isinstance(argument, Node)]

    def given(self, name: str) -> Any:
        """The argument that the function of the stage calls ``name``."""
        bound = inspect.signature(self.stage).bind(*self.arguments, **self.keywords)
        bound.apply_defaults()
        return bound.arguments[name]

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(f"{self.name} is not made yet: hand it on to another stage, or look it up in the results of the DAG")


@dataclass(frozen=True)
class Dag:
    """Nodes in an order in which each comes behind those it needs. ``waits``: what further nodes wait for besides."""

    nodes: list[Node] = field(default_factory=list)
    waits: tuple[Node, ...] = ()

    def add(self, name: StageName, stage: Callable[P, Stage[Made]], *arguments: P.args, **keywords: P.kwargs) -> Made:
        """A further stage, or the same one of the same arguments; it starts when the nodes among its arguments have ended."""
        node = Node(name, stage, arguments, keywords, self.waits)
        same = (other for other in self.nodes if (other.name, other.stage) == (name, stage) and other.wiring == node.wiring)
        if (known := next(same, None)) is None:
            self.nodes.append(node)
        return cast(Made, known or node)

    def after(self, *outputs: Output[Any]) -> "Dag":
        """The same DAG; what is added to it this way starts when ``outputs`` have ended too."""
        return Dag(self.nodes, tuple(cast(Node, output) for output in outputs))


class Results:
    """The finished stages of a DAG, in its order."""

    def __init__(self, finished: Mapping[Node, Finished[Any]]):
        self.finished = finished

    def __getitem__(self, output: Made) -> Made:
        """The output behind what :meth:`Dag.add` returned; an output that was there before the DAG is itself."""
        return cast(Made, self.finished[output].output) if isinstance(output, Node) else output

    def __iter__(self) -> Iterator[Finished[Any]]:
        return iter(self.finished.values())


def run(dag: Dag, job: Job, made: Results | None = None) -> Results:
    """Run the stages as Prefect tasks of the current flow run, but for those ``made`` before; returns all of them.

    In DAG order the first that failed is the cause; its exception is raised.
    """
    before = dict(made.finished) if made else {}
    futures: dict[Node, PrefectFuture[Finished[Any]]] = {}
    for node in dag.nodes:
        if node in before:
            continue
        promised = lambda argument: before.get(argument) or futures[argument] if isinstance(argument, Node) else argument
        arguments = [promised(argument) for argument in node.arguments]
        keywords = {name: promised(argument) for name, argument in node.keywords.items()}
        task: Any = run_stage.with_options(task_run_name=str(node.name))
        futures[node] = task.submit(
            job, node.name, node.stage, arguments, keywords, wait_for=[futures[other] for other in node.after if other in futures]
        )
    return Results(before | {node: future.result() for node, future in futures.items()})


def missing(dag: Dag, made: Results, store: Store) -> list[StageName]:
    """The names of the stages that are still to be made, in order."""
    return [node.name for node in absent(dag, made, store)]


def absent(dag: Dag, made: Results, store: Store) -> list[Node]:
    """The stages that are still to be made, in order: neither among those ``made``, nor in the store (whose files are not checked).

    A corpus that is not among those ``made`` is taken for absent, since its source would have to be read.
    """
    known: dict[Node, Output[Any]] = {node: finished.output for node, finished in made.finished.items()}
    for node in dag.nodes:
        value = lambda argument: known.get(argument) if isinstance(argument, Node) else argument
        needed = [argument for argument in (*node.arguments, *node.keywords.values()) if isinstance(argument, Node)]
        if node in known or node.name.kind == "ingest" or not all(argument in known for argument in needed):
            continue
        stage = node.stage(*map(value, node.arguments), **{name: value(argument) for name, argument in node.keywords.items()})
        if found := store.find(stage.recipe.kind, stage.recipe.key):
            known[node] = stage.output(found.location, found.manifest, found.copy)
    return [node for node in dag.nodes if node not in known]
