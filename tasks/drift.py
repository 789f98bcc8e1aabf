"""The drift of what has landed for a model, measured under its champion."""

import logging
from pathlib import Path

from tasks.behind import Behind
from tasks.retraining import Retraining, Seen
from ulmfit.corpora.landing.texts import texts_of
from ulmfit.models.saving import load_language_model
from ulmfit.monitoring.drift import drift
from ulmfit.monitoring.drift_figures import DriftFigures
from ulmfit.monitoring.measuring import measure
from ulmfit.prediction.predictor import Predictor
from ulmfit.stages.monitoring import drift_reference
from ulmfit.stages.stage import Context, make
from ulmfit.training.placement import Placement

log = logging.getLogger(__name__)

MOST = 20_000  # documents that are read; of their texts the policy measures a sample, of their labels all


def drift_of(asked: Retraining, seen: Seen, behind: Behind, downloads: Path, placement: Placement) -> DriftFigures | None:
    """The drift of the new text; None where too little of it is there for any figure."""
    policy = asked.policy.drift
    if seen.new.documents < min(policy.min_documents, policy.min_labels):
        return None
    context = Context(asked.workspace.store, downloads, placement=placement)
    lm = behind.lms["forward"]
    reference = make(drift_reference(behind.corpus, lm, behind.model, policy), context)
    texts, labels = texts_of(seen.state, seen.new_parts, MOST, policy.seed)
    found = measure(texts, labels, load_language_model(lm.path), Predictor(behind.model.path, placement.device), policy)
    earlier = [each.cycle.drift for each in seen.history.decisions if each.cycle and each.cycle.drift and each.champion == seen.champion]
    figures = drift(reference.figures, found, policy, earlier)
    for figure in figures.by_name.values():
        log.info("drift: %s", figure.says)
    return figures
