"""Says for each document that landed which split of the corpus it goes to: by its side, which never changes, and whether it has a label.

- A labelled document goes to the split of its side. An unlabelled one of the side train is unlabelled text.
- An unlabelled one of the sides valid or test is held back: once it has a label it judges, and nothing that is judged may have read it.
- The rows of a test file are the test split, whatever their side; then no other document is for testing.
- A class with fewer than ``LEAST`` training rows is left out until it has them; its documents on the side train are unlabelled text.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ulmfit.config import CorpusConfig
from ulmfit.corpora.ingest.decide import Decided
from ulmfit.corpora.ingest.facts import UNKNOWN
from ulmfit.corpora.ingest.splitting import LEAST, draw_samples
from ulmfit.corpora.landing.sides import side_of
from ulmfit.corpora.landing.state import LandedState
from ulmfit.corpora.quality.quality_record import Findings
from ulmfit.corpora.splits import DROPPED, TEST, TRAIN, UNLABELLED, VALID
from ulmfit.errors import UserError
from ulmfit.labels.label_strings import LabelStrings

LONGEST = 60  # letters of a label that are told


def decide_landed(state: LandedState, config: CorpusConfig, findings: Findings) -> Decided:
    """The split of each row that landed; DROPPED where it is no document. What is found on the way is added to ``findings``.

    UserError where the labels do not make a classification yet, or a side has no rows.
    """
    documents, separator = state.documents, state.separator
    facts, judging = documents.rows.facts, documents.rows.judging
    label = np.where(documents.live, documents.label, UNKNOWN).astype(np.int32)
    facts = replace(facts, label=label)
    strings = LabelStrings.of(facts.labels, separator) if separator else None
    side = np.where(judging, TEST, side_of(facts.fold, state.shares_by(config)))
    split = np.where(label != UNKNOWN, side, np.where(side == TRAIN, UNLABELLED, DROPPED)).astype(np.int8)
    split[~documents.live] = DROPPED
    held_back = int((documents.live & (label == UNKNOWN) & (side != TRAIN)).sum())
    if held_back:
        findings.warn(f"{held_back} unlabelled documents are held back until they have labels, for their side is test or valid")
    label = label.copy()
    _leave_out(facts.labels, label, split, strings, findings)
    _check(facts.labels, label, split, state.landing)
    findings.overlap_removed = documents.overlap
    if documents.overlap:
        findings.warn(f"{documents.overlap} documents also stand in the test file and were removed")
    strata = replace(facts, label=strings.strata(label[split == TRAIN])[label]) if strings else replace(facts, label=label.copy())
    draw_samples(strata, split, label, config, True)
    split[(split == UNLABELLED) & (side != TRAIN)] = DROPPED  # a spare validation row judges again when more are wanted
    return Decided(facts, split, label, strings)


def _leave_out(labels: Sequence[str], label: np.ndarray, split: np.ndarray, strings: LabelStrings | None, findings: Findings) -> None:
    """Take the labels from documents of classes with too few training rows, in ``label`` and ``split``."""
    counts = np.bincount(label[split == TRAIN], minlength=len(labels))
    known = strings.trained(counts)[:-1] if strings else counts >= LEAST
    rare = np.flatnonzero((np.bincount(label[label != UNKNOWN], minlength=len(labels)) > 0) & ~known)
    if not len(rare):
        return
    out = np.isin(label, rare)
    names = ", ".join(_named(labels[code]) for code in rare[:5].tolist())
    more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
    findings.warn(
        f"left out, for they have fewer than {LEAST} training rows: {names}{more} ({int(out.sum())} documents); merge or correct them, or wait for more"
    )
    split[out & (split != TRAIN)] = DROPPED
    split[out & (split == TRAIN)] = UNLABELLED
    label[out] = UNKNOWN


def _check(labels: Sequence[str], label: np.ndarray, split: np.ndarray, name: str) -> None:
    known = np.unique(label[split == TRAIN])
    if not len(known):
        raise UserError(f"{name}: no class has {LEAST} labelled training rows yet; land labelled rows, or correct --label-column")
    if len(known) == 1:
        raise UserError(
            f"{name}: the labelled rows are of one class only ({_named(labels[known[0]])}); a classifier needs two: land rows of another"
        )
    for code, side in ((TEST, "test"), (VALID, "valid")):
        if not (split == code).any():
            raise UserError(
                f"{name}: no labelled row is on the side {side} yet ({len(label[split == TRAIN])} are on the side train); land more labelled rows"
            )


def _named(label: str) -> str:
    """A label as it is told: a column of texts that is taken for labels fills no screen."""
    return repr(label if len(label) <= LONGEST else f"{label[:LONGEST]}…")
