"""The stages that make models: language models and classifiers of one direction, and the average of two classifiers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ulmfit.config import LMConfig, ModelConfig, Settings, WarmConfig
from ulmfit.directions import Direction
from ulmfit.prediction.bundle import write_bundle
from ulmfit.pretrained.transport import Pretrained
from ulmfit.stages.outputs import Classifier, Corpus, IdShards, LanguageModel, Model, Output, TokenShards, Vocabulary
from ulmfit.stages.shards import TRAINING_SPLITS
from ulmfit.stages.stage import Context, Made, Stage, keys_of
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built
from ulmfit.store.lineage import FILE, Lineage
from ulmfit.store.recipe import Recipe
from ulmfit.training.method import CLASSIFIER_VERSION, FINETUNE_VERSION, PRETRAIN_VERSION, WARM_VERSION, train
from ulmfit.training.specs import ClassifySpec, FinetuneSpec, PretrainSpec, TrainingSpec, WarmSpec

BUNDLE_VERSION = 1
VALID = ("valid",)


def pretrained(given: Pretrained, direction: Direction) -> Stage[LanguageModel]:
    """A pretrained language model as an artifact. The bytes of its files identify it, wherever it is."""
    files = given.digests(direction)
    recipe = Recipe("language-model", PRETRAIN_VERSION, {"files": files, "direction": direction})

    def build(work: Path, context: Context) -> Built:
        for file in files:
            filesystem.copy(given.folders[direction] / file, work / file)
        return Built(given.facts(direction).model_dump(exclude_none=True))

    return Stage(LanguageModel, recipe, {}, build)


def pretrain(ids: IdShards, vocab: Vocabulary, model: ModelConfig, config: LMConfig, direction: Direction) -> Stage[LanguageModel]:
    """A language model of general text (Howard & Ruder 2018, sec. 3.1)."""
    inputs = {"ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", PRETRAIN_VERSION, {"model": model, "training": config, "direction": direction}, keys_of(inputs))
    spec = lambda: PretrainSpec(
        ids=ids.path, train=TRAINING_SPLITS, valid=VALID, vocab=vocab.file, direction=direction, model=model, config=config
    )
    return _training(LanguageModel, recipe, inputs, spec)


def finetune(lm: LanguageModel, ids: IdShards, vocab: Vocabulary, config: LMConfig, direction: Direction) -> Stage[LanguageModel]:
    """A language model that goes on with other text, its vocabulary carried over (sec. 3.2)."""
    inputs = {"language_model": lm, "ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", FINETUNE_VERSION, {"training": config, "direction": direction}, keys_of(inputs))
    spec = lambda: FinetuneSpec(
        ids=ids.path, train=TRAINING_SPLITS, valid=VALID, vocab=vocab.file, direction=direction, pretrained=lm.path, config=config
    )
    return _training(LanguageModel, recipe, inputs, spec)


def warm_finetune(
    lm: LanguageModel,
    ids: IdShards,
    vocab: Vocabulary,
    new_parts: Sequence[str],
    config: WarmConfig,
    finetune: LMConfig,
    direction: Direction,
) -> Stage[LanguageModel]:
    """An earlier domain LM that goes on with the text of ``new_parts`` and a sample of the rest, over a vocabulary that has grown.

    ``vocab`` holds all tokens of ``lm``'s (``grow_vocabulary``). What ``config`` does not say is as in ``finetune``. The record's ``held_out``
    has the perplexities of old and new validation text before and after.
    """
    inputs = {"language_model": lm, "ids": ids, "vocab": vocab}
    training = warm_training(config, finetune)
    facts = {"warm": config, "training": training, "direction": direction, "new_parts": sorted(new_parts)}
    recipe = Recipe("language-model", WARM_VERSION, facts, keys_of(inputs))
    spec = lambda: warm_spec(lm.path, ids, vocab, new_parts, config, training, direction)
    return _training(LanguageModel, recipe, inputs, spec)


def warm_training(config: WarmConfig, finetune: LMConfig) -> LMConfig:
    """How a language model goes on."""
    return finetune.model_copy(update={"epochs": config.epochs, "lr": finetune.lr * config.rate})


def warm_spec(
    earlier: Path, ids: IdShards, vocab: Vocabulary, new_parts: Sequence[str], config: WarmConfig, training: LMConfig, direction: Direction
) -> WarmSpec:
    """What :func:`warm_finetune` trains, of the language model in ``earlier``."""
    return WarmSpec(
        ids=ids.path,
        train=TRAINING_SPLITS,
        valid=VALID,
        vocab=vocab.file,
        direction=direction,
        earlier=earlier,
        new_parts=tuple(sorted(new_parts)),
        replay=config.replay,
        seed=config.seed,
        keep=config.keep,
        config=training,
    )


def classify(
    lm: LanguageModel | None, corpus: Corpus, ids: IdShards, vocab: Vocabulary, settings: Settings, direction: Direction
) -> Stage[Classifier]:
    """A classifier on the encoder of ``lm`` (sec. 3.3), or from scratch without one. Of ``settings``: ``model``, ``classifier``, ``labels``."""
    inputs = {"corpus": corpus, "ids": ids, "vocab": vocab} | ({"language_model": lm} if lm else {})
    facts = {"model": settings.model, "training": settings.classifier.keyed(), "direction": direction}
    drawn = {"labels": labels} if (labels := settings.labels.keyed()) else {}
    recipe = Recipe("classifier", CLASSIFIER_VERSION, facts | drawn, keys_of(inputs))
    spec = lambda: ClassifySpec(
        ids=ids.path,
        train=("train",),
        valid=VALID,
        vocab=vocab.file,
        direction=direction,
        lm=lm.path if lm else None,
        labels=corpus.record.labels,
        model=settings.model,
        config=settings.classifier,
        drawn=settings.labels,
    )
    return _training(Classifier, recipe, inputs, spec)


def _training(output: type[Made], recipe: Recipe, inputs: Mapping[str, Output[Any]], spec: Callable[[], TrainingSpec]) -> Stage[Made]:
    """``spec`` is called when the artifact is built, since it fetches the inputs' files."""

    def build(work: Path, context: Context) -> Built:
        return Built(train(spec(), work, context.placement).model_dump(mode="json", exclude_none=True))

    return Stage(output, recipe, inputs, build, trains=True)


def average(forward: Classifier, backward: Classifier, corpus: Corpus, tokens: TokenShards, vocab: Vocabulary) -> Stage[Model]:
    """Both classifiers as one model (sec. 3.3): with their vocabulary, tokenizer and lineage it is what predicts, and what is registered."""
    inputs = {"forward": forward, "backward": backward, "tokens": tokens, "vocab": vocab}
    recipe = Recipe("model", BUNDLE_VERSION, {"labels": corpus.record.labels}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        tokenizer = {name: value for name, value in tokens.manifest.config.items() if name != "quarantine_poison"}
        names = write_bundle(work, forward.path, backward.path, vocab.file, tokenizer)
        lineage = Lineage.of(recipe, context.store)
        filesystem.write_bytes(work / FILE, lineage.to_json())
        return Built({"labels": names, "artifacts": len(lineage.artifacts)})

    return Stage(Model, recipe, inputs, build)
