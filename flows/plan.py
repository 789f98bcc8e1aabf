"""From a request to a plan: everything that has to be looked up is looked up here, once. What can be the user's fault is found here."""

import os
import time
from dataclasses import dataclass, field

from flows.request import ClassifierRequest, PretrainRequest, Request, StagesFields, TextRequest, TrainingRequest, TrainRequest
from flows.room import check_room
from tasks.promotion import check_model_name
from tasks.workspace import Workspace
from ulmfit.compute.devices import resolve_device
from ulmfit.compute.precision import TRAINING_SIZE, check_precision, keep_gain
from ulmfit.config import Settings
from ulmfit.corpora.source import CorpusSource, peek
from ulmfit.errors import UserError
from ulmfit.pretrained.transport import Pretrained, pretrained
from ulmfit.store.destinations import new_folder
from ulmfit.training.placement import Placement


@dataclass(frozen=True)
class Plan:
    """A resolved request: the settings in full, the sources as found, the language model with its sizes, the device.

    ``begun``: when the command began, in Unix seconds: the minutes of a budget count from there.

    ``domain``, ``general``: the corpora to read, None where the job needs none. ``pretrained``: the language model to start from.
    """

    request: Request
    workspace: Workspace
    settings: Settings
    domain: CorpusSource | None = None
    general: CorpusSource | None = None
    pretrained: Pretrained | None = None
    placement: Placement = Placement()
    begun: float = field(default_factory=time.time)


def resolve(request: Request) -> Plan:
    """The plan of a request. Raises UserError for what would be found at fault after minutes: options, files, columns, language models, devices, servers."""
    plan = _resolved(request)
    check_room(plan)
    return plan


def _resolved(request: Request) -> Plan:
    settings, source = request.settings(), request.source() if isinstance(request, TextRequest) else None
    workspace = Workspace.open(request.workspace, request.out)
    if source:
        _check_source(source)
    _check_servers(workspace, request.dask)
    if not isinstance(request, TrainingRequest):
        distributed(request)
        return Plan(request, workspace, settings, domain=source)
    found = _language_model(request, settings, workspace)
    _check_trained(request)
    domain, general = (None, source) if isinstance(request, PretrainRequest) else (source, None)
    if isinstance(request, ClassifierRequest) and not found:
        general = request.general()
        peek(general)
    if found:
        settings = settings.model_copy(update={"model": found.model})
    if distributed(request):
        return Plan(request, workspace, settings, domain, general, found)
    placement = placement_of(request.device, request.devices, request.resume)
    for training in (settings.pretrain, settings.finetune, settings.classifier):
        check_precision(training.precision, placement.device)
    if placement.device == "cpu" and settings.model.hidden >= TRAINING_SIZE:
        keep_gain(workspace.bf16_gain)
    return Plan(request, workspace, settings, domain, general, found, placement)


def placement_of(device: str, devices: int, resume: bool) -> Placement:
    """Where and how this machine trains. UserError for a device that it lacks."""
    return Placement(resolve_device(device, devices), devices, resume=resume)


def distributed(request: Request) -> bool:
    """Whether workers of pools make the stages. UserError where there can be none."""
    if not isinstance(request, StagesFields) or request.stages == "embedded":
        return False
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError("--stages distributed: work pools are those of a Prefect server; name it with PREFECT_API_URL, or leave it away")
    if isinstance(request, TrainRequest) and request.minutes is not None:
        raise UserError("--minutes and --stages distributed: how fast the workers are is not measured; give one of them")
    return True


def _check_source(source: CorpusSource) -> None:
    peek(source)
    if source.test is not None and os.path.realpath(source.test) == os.path.realpath(source.source):
        raise UserError(
            f"--test {source.test}: is the file of --corpus; give another, or leave --test away to hold out a share of the corpus"
        )


def _check_trained(request: TrainingRequest) -> None:
    """What becomes of the training has a name and a place that can be."""
    if isinstance(request, TrainRequest):
        check_model_name(request.registered_name)
    if isinstance(request, TrainRequest) and request.minutes is not None and request.devices > 1:
        raise UserError("--minutes and --devices: how fast several processes are is not measured; give one of them")
    if isinstance(request, PretrainRequest) and request.export is not None:
        new_folder(request.export, "--export")


def _check_servers(workspace: Workspace, dask: str | None) -> None:
    from tasks.cluster import check_scheduler  # their libraries take seconds to import, and come after what is found without them
    from tasks.notices import check_address
    from tasks.servers import check_tracking

    check_address()
    check_tracking(workspace)
    check_scheduler(dask)


def _language_model(request: TrainingRequest, settings: Settings, workspace: Workspace) -> Pretrained | None:
    """The language model to start from. UserError where it does not fit what is asked for."""
    name = request.start()
    if name is None:
        return None
    found = pretrained(name, workspace.downloads)
    if lacking := [direction for direction in request.trained_directions() if direction not in found.folders]:
        raise UserError(f"--pretrained {name}: it has no {lacking[0]}/, which is to be trained; give one that has")
    made = found.manifest.text if found.manifest else None
    if made and (made.lang, made.rules) != (settings.text.lang, settings.text.rules):
        asked, has = f"{settings.text.lang}, {settings.text.rules}", f"{made.lang}, {made.rules}"
        raise UserError(
            f"--pretrained {name}: it was trained on tokens of ({has}), and yours are ({asked}); set text.lang and text.rules to match"
        )
    if any(option.strip().startswith("model.") for option in request.options) and found.model != settings.model:
        sizes = f"{found.model.embedding}/{found.model.hidden}/{found.model.layers}"
        raise UserError(f"--set model.*: the pretrained language model is {sizes}; leave it out, or pretrain a new one")
    return found
