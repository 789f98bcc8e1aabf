"""Where and how a training runs: device, processes, checkpoints, observer."""

from dataclasses import dataclass, field
from pathlib import Path

from ulmfit.training.curves import Follower, Observer
from ulmfit.training.processes.team import Team

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Placement:
    """Where and how a training runs. None of it changes the result, except for rounding.

    ``processes``: how many processes of this machine share the training, with a GPU each on ``cuda``. ``observe``: receives each
    point of the curves; ``follow``: the same, with how many steps there are, of a training in this process. ``checkpoints``: their folder; without one a training always starts from the beginning.
    ``checkpoint_seconds``: the time between two checkpoints, besides those at the ends of epochs. ``resume``: whether
    :func:`ulmfit.training.method.train` continues from the checkpoints that it finds. ``team``: this process's place in its group.
    """

    device: str = "cpu"
    processes: int = 1
    observe: Observer | None = None
    follow: Follower | None = None
    checkpoints: Path | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    resume: bool = True
    team: Team = field(default_factory=Team)
