"""The door of this room: carry out a training in this process, or on several processes of this machine."""

from pathlib import Path

from ulmfit.store import filesystem
from ulmfit.training.method import CHECKPOINTS, carry_out
from ulmfit.training.placement import Placement
from ulmfit.training.processes.launcher import run_on
from ulmfit.training.record import TrainingRecord
from ulmfit.training.specs import TrainingSpec


def train(spec: TrainingSpec, folder: Path, place: Placement) -> TrainingRecord:
    """Train what ``spec`` describes into ``folder``, on ``place.processes`` processes where that is more than 1.

    A training that was interrupted continues from its last checkpoint, unless ``place.resume`` is False.
    UserError where the input or a setting is at fault; RunFailed where a process dies.
    """
    if not place.resume:
        filesystem.remove(folder / CHECKPOINTS)
    return run_on(spec, folder, place) if place.processes > 1 else carry_out(spec, folder, place)
