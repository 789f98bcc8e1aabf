"""Text to shards, as artifacts: each step's recipe and how it is built, for the DAG's tasks and for notebooks alike.

    documents -> Corpus -> TokenShards -> Vocab -> IdShards

A step is built by mapping a function over parts (see ``preprocess.py``); who maps, in a loop or on a cluster, is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ulmfit.config import CorpusConfig, PartsConfig, QualityConfig, TextConfig, VocabConfig
from ulmfit.corpora.ingest.prepare import INGEST_VERSION, prepare, write_corpus
from ulmfit.corpora.quality.summary import out_of_vocabulary
from ulmfit.corpora.source import CorpusSource, Reading, fingerprint
from ulmfit.shards.arrow import TOKENS_SUFFIX, read_ipc
from ulmfit.shards.counts import VOCAB_VERSION, CountSpec, MergeSpec, build_vocab, count_parts, merge_counts
from ulmfit.shards.crashing import CrashingDocument
from ulmfit.shards.encode import ENCODE_VERSION, EncodeSpec, encode_part
from ulmfit.shards.mapping import Mapper, serial
from ulmfit.shards.part_record import PartRecord
from ulmfit.shards.tokenise import TOKENIZE_VERSION, TokenizeSpec, tokenize_part
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Artifact, Built, KnownPart, Store
from ulmfit.store.recipe import Recipe
from ulmfit.text.tokenizer import Tokenizer

# A language model may see these splits of a corpus; the validation and test splits it may not.
TRAINING_SPLITS = ("train", "unlabelled")
COUNTED = {"train": TRAINING_SPLITS, "held_out": ("valid", "test")}
FAN_IN = 16  # parts, or tables, that one task adds up

TokeniseParts = Callable[[Sequence[TokenizeSpec]], tuple[list[PartRecord], list[CrashingDocument]]]


@dataclass(frozen=True)
class Step:
    """What an artifact is made of, and what makes it: its ``build`` (see ``Store.make``)."""

    recipe: Recipe
    build: Callable[[Path], Built]


def tokenise(store: Store, corpus: Artifact, config: TextConfig, run: TokeniseParts, quarantine_poison: bool = False) -> Step:
    """Corpus -> TokenShards, a shard a part. The key holds the rules' and spaCy's versions, so a change of either shows.

    A part whose texts were tokenised before, for a corpus that has grown since, is taken over.
    """
    definition = Tokenizer(config.lang, config.rules).definition
    set_aside = {"quarantine_poison": True} if quarantine_poison else {}
    recipe = Recipe("tokens", TOKENIZE_VERSION, definition | set_aside, {"corpus": corpus.key})
    keys = {part["name"]: Recipe("token-part", TOKENIZE_VERSION, definition, {"texts": part["texts"]}).key for part in _parts(corpus)}

    def build(work: Path) -> Built:
        folder = store.output_folder(recipe)
        specs = [
            TokenizeSpec(_text(corpus, part), folder, config.lang, config.rules, known=store.find_part(key)) for part, key in keys.items()
        ]
        records, crashing = run(specs)
        incomplete = {document.part for document in crashing}
        final = filesystem.join(store.root, recipe.kind, recipe.key)
        for record in records:
            ((file, entry),) = record.files.items()
            if record.part not in incomplete:
                store.note_part(keys[record.part], KnownPart(filesystem.join(final, file), entry.sha256))
        return _built(records, poisoned=[asdict(document) for document in crashing])

    return Step(recipe, build)


def _parts(corpus: Artifact) -> list[dict[str, Any]]:
    return corpus.record["parts"]


def _text(corpus: Artifact, part: str) -> str:
    return filesystem.join(corpus.location, f"{part}.parquet")


def _shard(tokens: Artifact, part: str) -> str:
    return filesystem.join(tokens.location, f"{part}{TOKENS_SUFFIX}")


def _built(records: Sequence[PartRecord], **facts: Any) -> Built:
    sums = {field: sum(getattr(record, field) for record in records) for field in ("documents", "tokens", "seconds")}
    files = {name: entry for record in records for name, entry in record.files.items()}
    return Built({"parts": len(records), **sums, **facts}, files)


def vocabulary(store: Store, corpus: Artifact, tokens: Artifact, config: VocabConfig, run_map: Mapper) -> Step:
    """TokenShards -> Vocab, counted on the training splits alone; also how much of the text lies outside it."""
    recipe = Recipe("vocab", VOCAB_VERSION, config, {"tokens": tokens.key, "corpus": corpus.key})

    def build(work: Path) -> Built:
        folder = filesystem.join(store.output_folder(recipe), "counting")
        places = {role: count(corpus, tokens, splits, folder, f"count-{role}", run_map) for role, splits in COUNTED.items()}
        counted = {role: read_ipc(place) for role, place in places.items()}
        vocab = build_vocab(counted["train"], config)
        vocab.save(work / "vocab.json")
        filesystem.copy(places["train"], work / "counts.arrow")
        filesystem.remove(folder)
        unknown = {role: out_of_vocabulary(counts, vocab).model_dump(mode="json") for role, counts in counted.items()}
        return Built({"tokens": len(vocab), "out_of_vocabulary": unknown})

    return Step(recipe, build)


def count(corpus: Artifact, tokens: Artifact, splits: tuple[str, ...], folder: str, name: str, run_map: Mapper) -> str:
    """The tokens of ``splits``, added up in a tree of tasks; the place of the table of all."""
    pairs = [(_shard(tokens, part["name"]), _text(corpus, part["name"])) for part in _parts(corpus)]
    leaves = [CountSpec(tuple(group), splits, folder, f"{name}-0-{number}") for number, group in enumerate(_groups(pairs))]
    tables = run_map(name, count_parts, leaves, lambda spec: spec.part)
    level = 1
    while len(tables) > 1:
        merges = [MergeSpec(tuple(group), folder, f"{name}-{level}-{number}") for number, group in enumerate(_groups(tables))]
        tables = run_map(f"{name}, level {level}", merge_counts, merges, lambda spec: spec.part)
        level += 1
    return tables[0]


def _groups(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + FAN_IN] for start in range(0, len(items), FAN_IN)]


def encode(store: Store, corpus: Artifact, tokens: Artifact, vocab: Artifact, run_map: Mapper) -> Step:
    """TokenShards through a Vocab -> IdShards."""
    labels = tuple(corpus.record["labels"])
    recipe = Recipe("ids", ENCODE_VERSION, {"labels": labels}, {"corpus": corpus.key, "tokens": tokens.key, "vocab": vocab.key})

    def build(work: Path) -> Built:
        file, folder = filesystem.join(vocab.location, "vocab.json"), store.output_folder(recipe)
        specs = [EncodeSpec(_shard(tokens, part["name"]), _text(corpus, part["name"]), file, labels, folder) for part in _parts(corpus)]
        return _built(run_map("encode", encode_part, specs, lambda spec: Path(spec.tokens).name.removesuffix(TOKENS_SUFFIX)))

    return Step(recipe, build)


@dataclass(frozen=True)
class Shards:
    """What ``make_shards`` made: four artifacts. ``Documents.open(shards.ids.path, ["train"])`` reads the last."""

    corpus: Artifact
    tokens: Artifact
    vocab: Artifact
    ids: Artifact


def make_shards(
    source: str | CorpusSource,
    out: str | Path,
    *,
    text: TextConfig = TextConfig(),  # noqa: B008 - frozen
    vocab: VocabConfig = VocabConfig(),  # noqa: B008
    corpus: CorpusConfig = CorpusConfig(),  # noqa: B008
    quality: QualityConfig = QualityConfig(),  # noqa: B008
    parts: PartsConfig = PartsConfig(),  # noqa: B008
    run_map: Mapper = serial,
) -> Shards:
    """Text to shards in one call, for notebooks: in this process, or wherever ``run_map`` runs.

    ``source``: a file, folder or known corpus (a string: text without labels). ``out``: the folder of a store of artifacts; what is
    there is found, as in a workspace's ``artifacts``. Raises UserError for what is at fault with the source.
    """
    source = CorpusSource(source, label_column=None) if isinstance(source, str) else source
    store = Store(out)
    store.set_up()

    def tokenise_parts(specs: Sequence[TokenizeSpec]) -> tuple[list[PartRecord], list[CrashingDocument]]:
        return run_map("tokenise", tokenize_part, specs, lambda spec: spec.source), []

    documents = _corpus(store, Reading(source, source.label_column is not None, store.local / "downloads", parts), corpus, quality, run_map)
    tokens = _made(store, tokenise(store, documents, text, tokenise_parts))
    words = _made(store, vocabulary(store, documents, tokens, vocab, run_map))
    return Shards(documents, tokens, words, _made(store, encode(store, documents, tokens, words, run_map)))


def _corpus(store: Store, reading: Reading, config: CorpusConfig, quality: QualityConfig, run_map: Mapper) -> Artifact:
    scan = Recipe("scan", INGEST_VERSION, {"raw": fingerprint(reading.source, reading.downloads), "labelled": reading.labelled}).key
    scans = filesystem.join(store.local, ".scans", scan)
    with store.lock(scan):
        prepared = prepare(reading, config, quality, scans, run_map)

        def assemble(work: Path) -> Built:
            record, files = write_corpus(prepared, str(work), run_map)
            return Built(record.dump(), files)

        made = _made(store, Step(Recipe("corpus", INGEST_VERSION, {"documents": prepared.digest}), assemble))
        filesystem.remove(scans)
    return made


def _made(store: Store, step: Step) -> Artifact:
    return store.make(step.recipe, step.build)[0]
