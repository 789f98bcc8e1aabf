"""One cycle of a model's life, up to the point where money is spent: look, land, decide. What is not to be trained ends here.

No Prefect and, where nothing has landed, no torch is imported: nothing to do takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from flows.request import RetrainRequest
from tasks.notices import check_address
from tasks.promotion import check_model_name
from tasks.retraining import Outcome, Retraining, Seen
from tasks.workspace import Workspace
from ulmfit.corpora.landing.entries import SetAside
from ulmfit.corpora.landing.landing import Landing, Looked
from ulmfit.decisions.decision import Decision, reason
from ulmfit.decisions.retrain_policy import read_policy
from ulmfit.decisions.should_train import Choice, should_train
from ulmfit.errors import UserError
from ulmfit.report.summary import Summary
from ulmfit.store.filesystem import in_full
from ulmfit.store.json import Facts
from ulmfit.store.temporary import temporary_folder

if TYPE_CHECKING:
    from flows.plan import Plan
    from tasks.behind import Behind
    from ulmfit.monitoring.drift_figures import DriftFigures

log = logging.getLogger(__name__)

Rest = Literal["nothing to do", "held"]


class RetrainSummary(Facts):
    """What came of a retraining. ``decision``: the last one that it took or found; ``retraining``: the one to train, ``training``: its summary."""

    model: str
    outcome: Outcome | Rest | Literal["would train"]
    decision: Decision
    retraining: Decision | None = None
    training: Summary | None = None


@dataclass(frozen=True)
class Due:
    """A training that is to be done. ``decision``: to do it; ``recorded``: it is the one in which somebody was interrupted.

    ``behind``: what it goes on from; None where it starts anew.
    """

    plan: Plan
    asked: Retraining
    seen: Seen
    decision: Decision
    behind: Behind | None
    recorded: bool = False


def cycle(request: RetrainRequest, train: Callable[[Due], RetrainSummary]) -> RetrainSummary:
    """Look whether the model is to be trained, and ``train`` it. UserError where the request is at fault, RunFailed where another one is under way."""
    asked = asked_for(request)
    with asked.alone():
        if request.dry_run:
            with temporary_folder("ulmfit-dry-run-") as folder:
                return look(replace(asked, elsewhere=asked.ledger_copy(folder)), request, would_train)
        finish(asked)
        return look(asked, request, train)


def look(asked: Retraining, request: RetrainRequest, train: Callable[[Due], RetrainSummary]) -> RetrainSummary:
    """Take in what has landed, and decide."""
    looked = asked.ledger.look(asked.landing, asked.policy.settle_seconds)
    for name, why in looked.still_written.items():
        log.info("%s is left alone for now: %s", name, why)
    for name, why in looked.set_aside.items():
        log.warning("%s is still set aside: %s", name, why)
    for kind, names in looked.passed_over.items():
        log.warning("never read, %d of the landing folder's (%s): %r%s", len(names), kind, names[0], ", ..." if len(names) > 1 else "")
    if looked.anything:
        land(asked, request, looked)
    return decide(asked, request, train)


def would_train(due: Due) -> RetrainSummary:
    """What a dry run says instead of training."""
    return RetrainSummary(model=due.asked.model, outcome="would train", decision=due.decision)


def asked_for(request: RetrainRequest) -> Retraining:
    """What the request asks for, as far as it takes no time. UserError where it is at fault."""
    if request.force != (request.because is not None):
        raise UserError("--force and --because go together: a training that is forced has its reason in the history")
    check_model_name(request.model, "--model")
    check_address()
    settings, policy = request.settings(), read_policy(request.policy)
    several = settings.classifier.task == "multi-label"
    landing = Landing(
        in_full(request.landing),
        request.text_column,
        request.label_column,
        request.id_column,
        request.encoding,
        settings.classifier.label_separator if several else None,
        in_full(request.test) if request.test else None,
    )
    because = reason(request.because) if request.because is not None else None
    return Retraining(Workspace.open(request.workspace, request.out), request.model, landing, policy, settings, because)


def finish(asked: Retraining) -> None:
    """Carry out what an earlier retraining had decided when it was interrupted."""
    history = asked.records.history()
    begun = history.under_way()
    if begun and history.outcome(begun):
        log.info("%s: an earlier retraining was interrupted at its end; it is completed", asked.model)
        asked.conclude(begun)


def land(asked: Retraining, request: RetrainRequest, looked: Looked) -> None:
    """Take in the files that are ready. UserError where none of them can be read."""
    from tasks.cluster import open_cluster

    with open_cluster(request.dask) as cluster:
        landed = asked.ledger.land(asked.landing, looked, cluster.map)
    counts = landed.counts
    log.info("landed: files %d; rows %d, new documents %d, new labels %d, corrected labels %d", counts.files, counts.rows, counts.documents,
             counts.labels, counts.corrections)  # fmt: skip
    for file in landed.set_aside:
        log.warning("%s is set aside: %s", file.name, file.reason)
    if landed.set_aside and not counts.files:
        raise UserError(_unreadable(landed.set_aside))


def _unreadable(files: tuple[SetAside, ...]) -> str:
    more = f"; so are {len(files) - 1} further files" if len(files) > 1 else ""
    return f"{files[0].reason} (the file is set aside{more})"


def decide(asked: Retraining, request: RetrainRequest, train: Callable[[Due], RetrainSummary]) -> RetrainSummary:
    """Train, or record why not. UserError where the registry has lost the champion."""
    seen = Seen.of(asked)
    check_champion(asked, seen)
    begun = seen.history.under_way()
    if begun and not _goes_on(begun, asked, seen):
        asked.give_up(begun)
        begun = None
    if seen.champion and seen.history.forgotten_by(seen.champion):
        log.warning(
            "%s: version %s had read documents that are forgotten since; the next training starts anew, with --force --because now",
            asked.model,
            seen.champion,
        )
    if not (begun or seen.anything or asked.because):
        return _rest(asked, seen, should_train(seen.situation(), asked.policy))
    if not (begun or asked.because) and (known := seen.known(asked)):
        return RetrainSummary(model=asked.model, outcome=known.what, decision=asked.rest(known, seen.history))
    from flows.plan import resolve

    plan = resolve(request)
    if begun:
        log.info("%s: the retraining that was interrupted goes on", asked.model)
        return train(_due(asked, plan, seen, begun))
    return _decide_by_drift(asked, plan, seen, train)


def _decide_by_drift(asked: Retraining, plan: Plan, seen: Seen, train: Callable[[Due], RetrainSummary]) -> RetrainSummary:
    """Decide on text that is new, measured under the champion's model where there is one to go on from."""
    found = seen.goes_on_from(asked, plan.settings.model)
    behind, obstacle = (None, found) if isinstance(found, str) else (found, None)
    drift = None
    if behind:
        from tasks.drift import drift_of

        drift = drift_of(asked, seen, behind, plan.workspace.downloads, plan.placement)
    choice = should_train(seen.situation(drift, obstacle), asked.policy, asked.because is not None)
    if choice.training == "none":
        return _rest(asked, seen, choice, drift)
    if fault := untrainable(asked, seen):
        return _rest(asked, seen, Choice("none", (fault,)), drift, "held")
    decision = asked.decision("retrain", seen.cycle(asked, choice, drift), seen.champion)
    return train(Due(plan, asked, seen, decision, behind if choice.training == "warm" else None))


def check_champion(asked: Retraining, seen: Seen) -> None:
    """UserError where decisions made a version champion and the registry has none, unless a person wants a first version there."""
    made = seen.history.champions()
    if made and seen.champion is None and not asked.because:
        raise UserError(
            f"{asked.model}: by its history version {made[-1]} is the champion, and the registry has none; bring the registry's database back, "
            f"name another with MLFLOW_TRACKING_URI, or choose one with ulmfit promote; --force --because TEXT begins anew"
        )


def _goes_on(begun: Decision, asked: Retraining, seen: Seen) -> bool:
    """Whether an interrupted retraining would be the same now."""
    return begun.cycle is not None and (begun.cycle.landed, begun.cycle.asked) == (seen.state.digest, asked.asked)


def _due(asked: Retraining, plan: Plan, seen: Seen, begun: Decision) -> Due:
    """An interrupted retraining, from what it was to go on from."""
    if begun.cycle is None or begun.cycle.training != "warm":
        return Due(plan, asked, seen, begun, None, recorded=True)
    behind = replace(seen, champion=begun.champion).goes_on_from(asked, plan.settings.model)
    if isinstance(behind, str):
        raise UserError(f"{asked.model}: the retraining that was interrupted cannot go on, for {behind}; --force --because starts another")
    return Due(plan, asked, seen, begun, behind, recorded=True)


def untrainable(asked: Retraining, seen: Seen) -> str | None:
    """Why no training is to be spent on what has landed, if so: a single class, a side without rows, text past a limit, or fewer held-out
    rows than the gate needs to compare with the champion.

    UserError where the settings are at fault, and not the text.
    """
    from ulmfit.corpora.landing.sides import Shares
    from ulmfit.stages.landed import landed_splits

    settings = asked.settings
    seen.state.check(Shares.of(settings.corpus))
    try:
        splits = landed_splits(seen.state, settings.corpus, settings.quality)
    except UserError as error:
        return str(error)
    rows, least = splits[settings.judge].documents if settings.judge in splits else 0, asked.policy.gate.min_rows
    if seen.champion is None or asked.because or rows >= least:
        return None
    return f"Too few held-out rows to compare with the champion: {rows:,}, and the gate asks for {least:,}; land more labelled rows, or lower gate.min_rows."


def _rest(asked: Retraining, seen: Seen, choice: Choice, drift: DriftFigures | None = None, what: Rest = "nothing to do") -> RetrainSummary:
    decision = asked.decision(what, seen.cycle(asked, choice, drift), seen.champion)
    return RetrainSummary(model=asked.model, outcome=what, decision=asked.rest(decision, seen.history))
