"""Ingest: from a source of text to a Corpus artifact."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from prefect.states import State

from tasks.stage import Job, run_stage, stage_task
from tasks.tracking import StageRun
from ulmfit.artifacts import Recipe, Store, write_atomic
from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.ingest import INGEST_VERSION, CorpusSource, fingerprint, load, write_corpus

log = logging.getLogger(__name__)


@stage_task
def ingest(job: Job, name: str, source: CorpusSource, config: CorpusConfig, quality: QualityConfig, labelled: bool) -> State:
    """Read, check, split and sample a source. The artifact's key comes from the documents' bytes, never from a path.

    A memo from the raw bytes of the files to that key spares a second reading of the documents.
    """
    downloads = job.workspace.downloads
    memo = _memo_path(job.workspace.store, fingerprint(source, downloads), config, quality, labelled)
    known = _read_memo(memo)
    loaded = None if known else load(source, config, quality, downloads, labelled)
    identity = known or {"documents": loaded.digest if loaded else ""}

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        manifest = write_corpus(loaded or load(source, config, quality, downloads, labelled), work)
        return {**manifest, "source": source.source, "settings": config.model_dump(mode="json")}

    state = run_stage(job, name, Recipe("corpus", INGEST_VERSION, identity), {}, build)
    write_atomic(memo, json.dumps(identity).encode())
    return state


def _memo_path(store: Store, raw: str, config: CorpusConfig, quality: QualityConfig, labelled: bool) -> Path:
    body = {"raw": raw, "config": config, "quality": quality, "labelled": labelled}
    return store.root / ".sources" / f"{Recipe('source', INGEST_VERSION, body).key}.json"


def _read_memo(path: Path) -> dict[str, str] | None:
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return known if isinstance(known, dict) and set(known) == {"documents"} else None
