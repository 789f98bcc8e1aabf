"""From a Corpus to TokenShards, Vocab and IdShards; the work on a part is done by Dask workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect.states import State

from tasks.cluster import Cluster
from tasks.stage import Job, Stage, run_stage, stage_task
from tasks.tracking import StageRun
from ulmfit.artifacts import Recipe
from ulmfit.config import TextConfig, VocabConfig
from ulmfit.preprocess import (
    ENCODE_VERSION,
    TOKENIZE_VERSION,
    VOCAB_VERSION,
    EncodeSpec,
    TokenizeSpec,
    build_vocab,
    encode_part,
    tokenize_part,
)
from ulmfit.shards import PartRecord
from ulmfit.text.tokenizer import Tokenizer

# A language model may see these splits of a corpus; the validation and test splits it may not.
TRAINING_SPLITS = ("train", "unlabelled")


@stage_task
def tokenise(job: Job, name: str, cluster: Cluster, corpus: Stage, config: TextConfig) -> State:
    """Corpus -> TokenShards, a shard a part. The key holds the rules' and spaCy's versions, so a change of either shows."""
    definition = Tokenizer(config.lang, config.rules).definition
    recipe = Recipe("tokens", TOKENIZE_VERSION, definition, {"corpus": corpus.artifact.key})

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        sources = sorted(corpus.artifact.path.glob("*-[0-9]*.parquet"))
        specs = [TokenizeSpec(str(source), str(work), config.lang, config.rules) for source in sources]
        return _shards(run, cluster, name, tokenize_part, specs, lambda spec: Path(spec.source).stem)

    return run_stage(job, name, recipe, {"corpus": corpus}, build)


@stage_task
def build_vocabulary(job: Job, name: str, tokens: Stage, config: VocabConfig) -> State:
    """TokenShards -> Vocab, counted on the training splits alone."""
    recipe = Recipe("vocab", VOCAB_VERSION, config, {"tokens": tokens.artifact.key})

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        paths = [path for split in TRAINING_SPLITS for path in sorted(tokens.artifact.path.glob(f"{split}-*.counts.arrow"))]
        vocab = build_vocab(paths, config)
        vocab.save(work / "vocab.json")
        return {"tokens": len(vocab)}

    return run_stage(job, name, recipe, {"tokens": tokens}, build)


@stage_task
def encode(job: Job, name: str, cluster: Cluster, corpus: Stage, tokens: Stage, vocab: Stage) -> State:
    """TokenShards through a Vocab -> IdShards."""
    labels = tuple(corpus.artifact.record["labels"])
    inputs = {"tokens": tokens, "vocab": vocab}
    recipe = Recipe("ids", ENCODE_VERSION, {"labels": labels}, {role: stage.artifact.key for role, stage in inputs.items()})

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        shards = sorted(tokens.artifact.path.glob("*.tokens.arrow"))
        vocab_path = str(vocab.artifact.path / "vocab.json")
        specs = [EncodeSpec(str(shard), vocab_path, labels, str(work)) for shard in shards]
        return _shards(run, cluster, name, encode_part, specs, lambda spec: Path(spec.tokens).name.removesuffix(".tokens.arrow"))

    return run_stage(job, name, recipe, inputs, build)


def _shards(
    run: StageRun, cluster: Cluster, name: str, function: Callable[[Any], PartRecord], specs: Sequence[Any], label: Callable[[Any], str]
) -> dict[str, Any]:
    records = cluster.map(name, function, specs, label)
    for step, record in enumerate(records):
        run.observe(step, {"part_tokens": record.tokens, "part_seconds": record.seconds})
    return {"parts": len(records)} | {
        field: sum(asdict(record)[field] for record in records) for field in ("documents", "tokens", "seconds")
    }


def tokenizer_definition(tokens: Stage) -> dict[str, Any]:
    """The definition of the tokenizer that made these shards, for whoever serves the model."""
    return json.loads(json.dumps(tokens.artifact.manifest["config"]))
