"""What has landed becomes a corpus. Parts that have not changed since an earlier corpus are taken over, so only new ones are written."""

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np

from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.corpus_record import CorpusRecord, PartFacts, SplitFacts
from ulmfit.corpora.ingest.assemble import PartInfo
from ulmfit.corpora.ingest.facts import UNKNOWN
from ulmfit.corpora.ingest.prepare import write_json
from ulmfit.corpora.ingest.quarantine import check_quarantine
from ulmfit.corpora.landing.assembling import PartSpec, assemble_landed, write_decisions
from ulmfit.corpora.landing.deciding import decide_landed
from ulmfit.corpora.landing.entries import LandedPart
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.corpora.landing.state import LandedState
from ulmfit.corpora.quality.measuring import merge
from ulmfit.corpora.quality.plausibility import doubtful_labels
from ulmfit.corpora.quality.quality_record import Findings, Quality, describe
from ulmfit.corpora.quality.thresholds import check
from ulmfit.corpora.splits import DROPPED, UNLABELLED
from ulmfit.shards.mapping import PartWork
from ulmfit.stages.outputs import Corpus
from ulmfit.stages.stage import Context, Stage
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built, KnownPart
from ulmfit.store.recipe import Recipe

LANDED_VERSION = 1


def landed(state: LandedState, config: CorpusConfig, quality: QualityConfig) -> Stage[Corpus]:
    """The corpus of all that has landed: the same folder as ``ingest`` makes, its parts in the order of their arrival.

    UserError where the labels do not make a classification yet, a side has no rows, the shares of the sides are others than at first, or the
    text passes a threshold that stops.
    """
    work = _Landed(state, config, quality)
    recipe = Recipe("corpus", LANDED_VERSION, {"landed": work.decided.digest})
    return Stage(Corpus, recipe, {}, lambda _, context: work.build(context, recipe))


def landed_splits(state: LandedState, config: CorpusConfig, quality: QualityConfig) -> dict[str, SplitFacts]:
    """What each split of the corpus of :func:`landed` holds, without making it. UserError as there."""
    return {split: SplitFacts.of(facts) for split, facts in _Landed(state, config, quality).quality.splits.items()}


class _Landed:
    """A corpus that is decided but not yet written."""

    def __init__(self, state: LandedState, config: CorpusConfig, quality: QualityConfig):
        self.state, self.config = state, config
        state.check(state.shares_by(config))
        findings = _findings(state, quality)
        self.decided = decide_landed(state, config, findings)
        self.quality: Quality = describe(merge(part.measured for part in state.parts), findings, self.decided.splits())
        for warning in (*doubtful_labels(self.decided.names), *check(self.quality, quality, state.landing)):
            findings.warn(warning)
        self.findings = findings

    def build(self, context: Context, recipe: Recipe) -> Built:
        Ledger(context.store, self.state.model).pin(self.state.shares_by(self.config))
        folder = context.store.output_folder(recipe)
        parts = self._parts(context, recipe, folder)
        for number, name in enumerate(self.state.quarantine):
            target = filesystem.join(folder, f"quarantine/part-{number:05d}.parquet")
            filesystem.link_or_copy(filesystem.join(self.state.location, name), target)
        write_json(folder, "quality.json", self.quality.model_dump(mode="json"))
        record = self._record(parts)
        write_json(folder, "corpus.json", record.model_dump(mode="json"))
        named = {"source": self.state.landing, "more": (), "settings": self.config, "quality": self.quality}
        files = {name: entry for part in parts for name, entry in part.files.items()}
        return Built(record.model_copy(update=named).model_dump(mode="json"), files)

    def _parts(self, context: Context, recipe: Recipe, folder: str) -> list[PartInfo]:
        """The parts that have documents left."""
        store = context.store
        deciding = filesystem.join(store.root if store.remote else str(store.local), ".deciding", recipe.key)
        keys: list[str] = []
        specs: list[PartSpec] = []
        for raw, documents in self._raw_parts():
            split = self.decided.split[documents]
            if not (split != DROPPED).any():
                continue
            decisions = filesystem.join(deciding, f"{len(specs):05d}.arrow")
            label = np.where(split == UNLABELLED, UNKNOWN, self.decided.label[documents])
            digest = write_decisions(decisions, split, label, self.decided.facts.labels)
            keys.append(Recipe("landed-part", LANDED_VERSION, {"raw": raw.files[f"{raw.stem}.parquet"].sha256, "decided": digest}).key)
            facts = self._facts(f"part-{len(specs):05d}", documents)
            specs.append(
                PartSpec(filesystem.join(self.state.location, f"{raw.stem}.parquet"), decisions, folder, facts, store.find_part(keys[-1]))
            )
        parts = context.mapper(PartWork("assemble", assemble_landed, specs, lambda spec: spec.facts.name))
        for key, part in zip(keys, parts, strict=True):
            ((file, entry),) = part.files.items()
            store.note_part(key, KnownPart(f"{recipe.kind}/{recipe.key}/{file}", entry.sha256))
        filesystem.remove(deciding)
        return parts

    def _raw_parts(self) -> Iterator[tuple[LandedPart, slice]]:
        """The parts that landed, and which of all rows each holds."""
        begun = 0
        for part in self.state.parts:
            yield part, slice(begun, begun + part.documents)
            begun += part.documents

    def _facts(self, name: str, documents: slice) -> PartFacts:
        """The facts of a part, but for its rows."""
        facts, kept = self.decided.facts, self.decided.split[documents] != DROPPED
        characters, texts = int(facts.characters[documents][kept].sum()), sha256(facts.exact[documents][kept].tobytes()).hexdigest()
        return PartFacts(name=name, documents=int(kept.sum()), rows=0, characters=characters, texts=texts)

    def _record(self, parts: Sequence[PartInfo]) -> CorpusRecord:
        decided, findings = self.decided, self.findings
        return CorpusRecord(
            name=self.state.model,
            digest=decided.digest,
            labels=tuple(decided.labels),
            label_names=tuple(decided.names) if decided.strings else None,
            splits={split: SplitFacts.of(facts) for split, facts in self.quality.splits.items()},
            parts=tuple(part.facts for part in parts),
            quarantined=findings.quarantined,
            duplicates=findings.duplicates,
            overlap_removed=findings.overlap_removed,
            warnings=tuple(findings.warnings),
        )


def _findings(state: LandedState, quality: QualityConfig) -> Findings:
    """What was found when the rows landed. UserError where too few can be used."""
    counts = [arrival.counts for arrival in state.arrivals]
    quarantined: Counter[str] = Counter()
    for count in counts:
        quarantined.update(count.quarantined)
    findings = Findings(rows=sum(count.rows for count in counts), quarantined=dict(quarantined))
    findings.with_nul, findings.duplicates = sum(count.with_nul for count in counts), sum(count.duplicates for count in counts)
    unusable = check_quarantine(state.landing, findings.rows, findings.quarantined, "in the quarantine of the ledger", quality)
    if unusable:
        findings.warn(unusable)
    return findings
