"""Text to shards: a corpus becomes token shards, a vocabulary and id shards. The work on parts goes through the context's mapper."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ulmfit.config import QualityConfig, TextConfig, VocabConfig
from ulmfit.corpora.quality.quality_record import out_of_vocabulary
from ulmfit.corpora.quality.thresholds import check_language, check_vocabulary
from ulmfit.shards.arrow import TOKENS_SUFFIX, read_ipc
from ulmfit.shards.counts import VOCAB_VERSION, CountSpec, MergeSpec, build_vocab, count_parts, merge_counts
from ulmfit.shards.crashing import CrashingDocument, tokenise_parts
from ulmfit.shards.encode import ENCODE_VERSION, EncodeSpec, encode_part
from ulmfit.shards.mapping import Mapper, PartWork
from ulmfit.shards.part_record import PartRecord
from ulmfit.shards.tokenise import TOKENIZE_VERSION, TokenizeSpec
from ulmfit.stages.outputs import QUARANTINES, Corpus, Growth, IdShards, LanguageModel, Output, TokenShards, Vocabulary, VocabularyRecord
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built, KnownPart
from ulmfit.store.recipe import Recipe
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab

log = logging.getLogger(__name__)
GROW_VERSION = 1
Item = TypeVar("Item")

# A language model may see these splits of a corpus; the validation and test splits it may not.
TRAINING_SPLITS = ("train", "unlabelled")
COUNTED = {"train": TRAINING_SPLITS, "held_out": ("valid", "test")}
FAN_IN = 16  # parts, or tables of counts, that one task adds up


def tokenise(corpus: Corpus, config: TextConfig, quarantine_crashing: bool = False) -> Stage[TokenShards]:
    """Corpus -> TokenShards. The key holds the rules' and spaCy's versions, so a change of either shows.

    A part whose texts were tokenised before, for a corpus that has grown since, is taken over. ``quarantine_crashing``: a document that
    kills the worker which tokenises it gets no tokens; without it such a document raises UserError.
    """
    for warning in check_language(corpus.quality, config.lang):
        log.warning("%s", warning)
    definition = Tokenizer(config.lang, config.rules).definition
    set_aside = {QUARANTINES: True} if quarantine_crashing else {}
    recipe = Recipe("tokens", TOKENIZE_VERSION, definition | set_aside, {"corpus": corpus.key})
    keys = {part.name: Recipe("token-part", TOKENIZE_VERSION, definition, {"texts": part.texts}).key for part in corpus.record.parts}

    def build(work: Path, context: Context) -> Built:
        store, folder = context.store, context.store.output_folder(recipe)
        specs = [
            TokenizeSpec(_text(corpus, part), folder, config.lang, config.rules, known=store.find_part(key)) for part, key in keys.items()
        ]
        records, crashing = tokenise_parts(context.mapper, specs, quarantine_crashing)
        incomplete = {document.part for document in crashing}
        for record in records:
            ((file, entry),) = record.files.items()
            if record.part not in incomplete:
                store.note_part(keys[record.part], KnownPart(f"{recipe.kind}/{recipe.key}/{file}", entry.sha256))
        return _built(records, crashing)

    return Stage(TokenShards, recipe, {"corpus": corpus}, build)


def vocabulary(
    corpus: Corpus,
    tokens: TokenShards,
    config: VocabConfig,
    quality: QualityConfig,
    general: Vocabulary | None = None,
    lm: LanguageModel | None = None,
) -> Stage[Vocabulary]:
    """TokenShards -> Vocab, counted on the training splits alone. ``quality`` says how much of the text may lie outside it.

    It is filled up with the words of ``general`` text or of a general language model ``lm``, where one is given: text that is read later
    has words that the corpus lacks.
    """
    known = general or lm
    inputs: dict[str, Output[Any]] = {"tokens": tokens, "corpus": corpus} | ({"general": known} if known else {})
    recipe = Recipe("vocab", VOCAB_VERSION, config, keys_of(inputs))

    def choose(counts: pa.Table) -> tuple[Vocab, None]:
        counted = build_vocab(counts, config)
        return counted.filled(Vocab.load(known.path / "vocab.json").tokens, config.max_size) if known else counted, None

    return _vocabulary(recipe, corpus, tokens, quality, inputs, choose)


def grow_vocabulary(
    corpus: Corpus, tokens: TokenShards, earlier: Vocabulary, config: VocabConfig, quality: QualityConfig
) -> Stage[Vocabulary]:
    """A vocabulary that keeps the tokens of ``earlier`` at their ids, and adds those that one chosen anew by ``config`` would hold besides.

    So it may be larger than ``config.max_size``. The record's ``growth`` says how much of a new one was added: where that is large,
    the text has another vocabulary, and starting anew serves it better.
    """
    inputs = {"tokens": tokens, "corpus": corpus, "earlier": earlier}
    recipe = Recipe("vocab", GROW_VERSION, config, keys_of(inputs))

    def choose(counts: pa.Table) -> tuple[Vocab, Growth]:
        known, anew = Vocab.load(earlier.file), build_vocab(counts, config)
        grown = known.with_added(anew.tokens)
        added = len(grown) - len(known)
        return grown, Growth(earlier=len(known), added=added, share=round(added / len(anew), 6))

    return _vocabulary(recipe, corpus, tokens, quality, inputs, choose)


def _vocabulary(
    recipe: Recipe,
    corpus: Corpus,
    tokens: TokenShards,
    quality: QualityConfig,
    inputs: Mapping[str, Output[Any]],
    choose: Callable[[pa.Table], tuple[Vocab, Growth | None]],
) -> Stage[Vocabulary]:
    def build(work: Path, context: Context) -> Built:
        folder = filesystem.join(context.store.output_folder(recipe), "counting")
        tables = {role: count(corpus, tokens, splits, folder, f"count-{role}", context.mapper) for role, splits in COUNTED.items()}
        counted = {role: read_ipc(table) for role, table in tables.items()}
        vocab, growth = choose(counted["train"])
        vocab.save(work / "vocab.json")
        filesystem.copy(tables["train"], work / "counts.arrow")
        filesystem.remove(folder)
        unknown = {role: out_of_vocabulary(counts, vocab) for role, counts in counted.items()}
        record = VocabularyRecord(tokens=len(vocab), out_of_vocabulary=unknown, growth=growth)
        return Built(record.model_dump(mode="json"))

    def warnings(made: Vocabulary) -> list[str]:
        found = made.record.out_of_vocabulary
        return [
            warning
            for role, splits in COUNTED.items()
            for warning in check_vocabulary(found[role], quality, f"{' and '.join(splits)} text")
        ]

    return Stage(Vocabulary, recipe, inputs, build, warnings=warnings)


def count(corpus: Corpus, tokens: TokenShards, splits: tuple[str, ...], folder: str, name: str, mapper: Mapper) -> str:
    """Add up the tokens of ``splits`` in a tree of tasks; returns the location of the table of all of them."""
    pairs = [(_shard(tokens, part.name), _text(corpus, part.name)) for part in corpus.record.parts]
    leaves = [CountSpec(tuple(group), splits, folder, f"{name}-0-{number}") for number, group in enumerate(_groups(pairs))]
    tables = mapper(PartWork(name, count_parts, leaves, lambda spec: spec.part))
    level = 1
    while len(tables) > 1:
        merges = [MergeSpec(tuple(group), folder, f"{name}-{level}-{number}") for number, group in enumerate(_groups(tables))]
        tables = mapper(PartWork(f"{name}, level {level}", merge_counts, merges, lambda spec: spec.part))
        level += 1
    return tables[0]


def encode(corpus: Corpus, tokens: TokenShards, vocab: Vocabulary) -> Stage[IdShards]:
    """TokenShards through a Vocab -> IdShards."""
    labels = tuple(corpus.record.labels)
    inputs = {"corpus": corpus, "tokens": tokens, "vocab": vocab}
    recipe = Recipe("ids", ENCODE_VERSION, {"labels": labels}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        file, folder = filesystem.join(vocab.location, "vocab.json"), context.store.output_folder(recipe)
        parts = [part.name for part in corpus.record.parts]
        specs = [EncodeSpec(_shard(tokens, part), _text(corpus, part), file, labels, folder) for part in parts]
        return _built(context.mapper(PartWork("encode", encode_part, specs, lambda spec: spec.part)))

    return Stage(IdShards, recipe, inputs, build)


def _text(corpus: Corpus, part: str) -> str:
    return filesystem.join(corpus.location, f"{part}.parquet")


def _shard(tokens: TokenShards, part: str) -> str:
    return filesystem.join(tokens.location, f"{part}{TOKENS_SUFFIX}")


def _groups(items: Sequence[Item]) -> list[Sequence[Item]]:
    return [items[start : start + FAN_IN] for start in range(0, len(items), FAN_IN)]


def _built(records: Sequence[PartRecord], crashing: Sequence[CrashingDocument] | None = None) -> Built:
    sums = {field: sum(getattr(record, field) for record in records) for field in ("documents", "tokens")}
    more = {} if crashing is None else {"poisoned": [asdict(document) for document in crashing]}
    return Built({"parts": len(records), **sums, **more}, {name: entry for record in records for name, entry in record.files.items()})
