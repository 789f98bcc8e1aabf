"""Ingest: a source of text becomes a corpus. Its key comes from the documents' bytes, never from a path."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.ingest.prepare import INGEST_VERSION, READING_VERSION, Prepared, prepare, write_corpus
from ulmfit.corpora.source import CorpusSource, Reading, fingerprint
from ulmfit.errors import UserError
from ulmfit.stages.outputs import Corpus
from ulmfit.stages.stage import Context, Stage
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built
from ulmfit.store.recipe import Recipe


def ingest(context: Context, source: CorpusSource, config: CorpusConfig, quality: QualityConfig, labelled: bool) -> Stage[Corpus]:
    """Read, check, split and sample a source.

    The identity is found first: in a memo of the files' raw bytes, or by reading the documents. Until the stage has ended, a second run that
    wants the same source waits. Workers read the source and write beside the artifacts: on other machines they need both under
    the same names (a shared folder, or S3). Raises UserError where the source cannot be used.
    """
    work = _Ingest(context, Reading(source, labelled, context.downloads, context.parts), config, quality)
    with ExitStack() as stack:
        stack.enter_context(work.scanned())
        recipe = Recipe("corpus", INGEST_VERSION, {"documents": work.digest()})
        return Stage(Corpus, recipe, {}, lambda _, context: work.build(context.store.output_folder(recipe)), held=stack.pop_all())


def found_corpus(context: Context, source: CorpusSource, config: CorpusConfig, quality: QualityConfig, labelled: bool) -> Corpus | None:
    """The corpus that ``ingest`` made of these; None where it was not made here, which is told by the memo, without reading the documents."""
    work = _Ingest(context, Reading(source, labelled, context.downloads, context.parts), config, quality)
    digest = _read_memo(work.memo)
    recipe = Recipe("corpus", INGEST_VERSION, {"documents": digest})
    found = context.store.find(recipe.kind, recipe.key) if digest else None
    return Corpus(found.location, found.manifest, found.copy) if found else None


class _Ingest:
    """One ingest under way: a corpus is scanned and decided once, and only where nobody knows its identity or its parts are missing."""

    def __init__(self, context: Context, reading: Reading, config: CorpusConfig, quality: QualityConfig):
        self.context, self.reading, self.config, self.quality = context, reading, config, quality
        self.prepared: Prepared | None = None
        store, separator = context.store, reading.source.label_separator
        read = {"raw": fingerprint(reading.source, reading.downloads), "labelled": reading.labelled}
        self.scan = Recipe("scan", READING_VERSION, read).key
        self.scans = filesystem.join(store.root if store.remote else str(store.local), ".scans", self.scan)
        known = read | {"config": config.keyed(), "quality": quality} | ({"separator": separator} if separator else {})
        self.memo = store.local / ".sources" / f"{Recipe('source', READING_VERSION, known).key}.json"

    @contextmanager
    def scanned(self) -> Iterator[None]:
        """Hold the scan folder. After a stage that ended well the memo is written and the folder removed; otherwise the next run continues there."""
        with self.context.store.lock(self.scan):
            yield
            filesystem.write_bytes(self.memo, json.dumps({"documents": self.digest()}).encode())
            filesystem.remove(self.scans)

    def digest(self) -> str:
        """The digest of the documents."""
        return self.prepared.digest if self.prepared else _read_memo(self.memo) or self._prepare().digest

    def build(self, folder: str) -> Built:
        record, files = write_corpus(self.prepared or self._prepare(), folder, self.context.mapper)
        return Built(record.model_dump(mode="json"), files)

    def _prepare(self) -> Prepared:
        try:
            self.prepared = prepare(self.reading, self.config, self.quality, self.scans, self.context.mapper)
        except UserError:  # the files, or how they are read, will not be the same again
            with suppress(UserError, OSError):
                filesystem.remove(self.scans)
            raise
        return self.prepared


def _read_memo(path: Path) -> str | None:
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return known["documents"] if isinstance(known, dict) and set(known) == {"documents"} else None
