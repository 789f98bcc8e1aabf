"""Run a large DAG in a bounded pool: a stage a core, each as soon as what it needs is made.

For studies: hundreds of stages, of which many take less than a second. A Prefect task for each would cost more than it, and Prefect's
threads would be taken by tasks that wait for others.
"""

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from flows.dag import Dag, Node, Results
from tasks.run import Finished, Job, find_or_build

log = logging.getLogger(__name__)

Ended = Callable[[Node, Results], None]


def run_bounded(dag: Dag, job: Job, ended: Ended = lambda node, results: None, made: Results | None = None) -> Results:
    """Run the stages that are not ``made``, at most ``job.slots`` at a time, in the DAG's order; returns all of them.

    ``ended(node, results)`` is called after each, one at a time. At the first that fails no other is begun; those under way end, and
    its exception is raised.
    """
    finished: dict[Node, Finished[Any]] = dict(made.finished) if made else {}
    waiting = [node for node in dag.nodes if node not in finished]
    running: dict[Future[Finished[Any]], Node] = {}
    with ThreadPoolExecutor(job.slots) as pool:
        while waiting or running:
            ready = [node for node in waiting if all(other in finished for other in node.needed)][: job.slots - len(running)]
            running |= {pool.submit(_make, node, job, finished): node for node in ready}
            waiting = [node for node in waiting if node not in ready]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                node = running.pop(future)
                finished[node] = future.result()
                ended(node, Results(finished))
    return Results(finished)


def _make(node: Node, job: Job, finished: dict[Node, Finished[Any]]) -> Finished[Any]:
    value = lambda argument: finished[argument] if isinstance(argument, Node) else argument
    arguments, keywords = [value(argument) for argument in node.arguments], {name: value(item) for name, item in node.keywords.items()}
    return find_or_build(job, node.name, node.stage, arguments, keywords)
