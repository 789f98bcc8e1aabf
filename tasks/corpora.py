"""Ingest: from a source of text to a Corpus artifact."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path

from prefect.states import State

from tasks.cluster import Cluster
from tasks.stage import Job, run_stage, stage_task
from tasks.tracking import StageRun
from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.ingest.prepare import INGEST_VERSION, Prepared, prepare, write_corpus
from ulmfit.corpora.source import CorpusSource, Reading, fingerprint
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built, Store
from ulmfit.store.recipe import Recipe

log = logging.getLogger(__name__)


@stage_task
def ingest(
    job: Job, name: str, cluster: Cluster, source: CorpusSource, config: CorpusConfig, quality: QualityConfig, labelled: bool
) -> State:
    """Read, check, split and sample a source. The artifact's key comes from the documents' bytes, never from a path.

    A memo from the raw bytes of the files to that key spares a second reading of the documents. Workers read the source and
    write beside the artifacts: on other machines than this one, they need both under the same names (a shared folder, or S3).
    """
    store, downloads = job.workspace.store, job.workspace.downloads
    raw = fingerprint(source, downloads)
    memo = _memo_path(store, raw, config, quality, labelled, source.label_separator)
    scan = Recipe("scan", INGEST_VERSION, {"raw": raw, "labelled": labelled}).key
    scans = filesystem.join(store.root if store.remote else str(store.local), ".scans", scan)

    def prepared() -> Prepared:
        try:
            return prepare(Reading(source, labelled, downloads), config, quality, scans, cluster.map)
        except UserError:  # the files, or how they are read, will not be the same again
            with suppress(UserError, OSError):
                filesystem.remove(scans)
            raise

    with store.lock(scan):  # a second run that wants the same waits, and finds it
        known = _read_memo(memo)
        ready = None if known else prepared()
        identity = known or {"documents": ready.digest if ready else ""}
        recipe = Recipe("corpus", INGEST_VERSION, identity)

        def build(work: Path, run: StageRun) -> Built:
            corpus = ready or prepared()
            record, files = write_corpus(corpus, store.output_folder(recipe), cluster.map)
            return Built(record.dump(), files)

        state = run_stage(job, name, recipe, {}, build)
        filesystem.write_bytes(memo, json.dumps(identity).encode())
        filesystem.remove(scans)
    return state


def _memo_path(store: Store, raw: str, config: CorpusConfig, quality: QualityConfig, labelled: bool, separator: str | None) -> Path:
    body = {"raw": raw, "config": config, "quality": quality, "labelled": labelled} | ({"separator": separator} if separator else {})
    return store.local / ".sources" / f"{Recipe('source', INGEST_VERSION, body).key}.json"


def _read_memo(path: Path) -> dict[str, str] | None:
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return known if isinstance(known, dict) and set(known) == {"documents"} else None
