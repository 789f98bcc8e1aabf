"""From a request to score to a plan: what is at fault is found here, before a server is started or a model is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.request import ScoreRequest
from tasks.workspace import Workspace
from ulmfit.prediction.bundle import Bundle
from ulmfit.prediction.scoring import data_set, output_place

REGISTRY = "models:/"


@dataclass(frozen=True)
class ScorePlan:
    """A resolved request: the files ``names`` in the folder ``root`` go to the folder ``place``."""

    request: ScoreRequest
    workspace: Workspace
    root: str
    names: Sequence[str]
    place: str


def resolve_score(request: ScoreRequest) -> ScorePlan:
    """The plan of a request. UserError where files, output, model folder, workspace or servers are at fault."""
    root, names = data_set(request.dataset)
    place = output_place(request.output, request.dataset)
    if not request.model.startswith(REGISTRY):
        Bundle.read(Path(request.model))
    workspace = Workspace.open(request.workspace)
    from tasks.cluster import check_scheduler  # their libraries take seconds to import, and come after what is found without them
    from tasks.servers import check_tracking

    check_tracking(workspace)
    check_scheduler(request.dask)
    return ScorePlan(request, workspace, root, names, place)
