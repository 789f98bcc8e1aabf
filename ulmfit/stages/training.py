"""The training stages: language models, general and of the domain, and classifiers; each in one direction."""

from pathlib import Path

from ulmfit.config import LMConfig, ModelConfig, Settings
from ulmfit.directions import Direction
from ulmfit.pretrained.transport import Pretrained
from ulmfit.stages.outputs import Classifier, Corpus, IdShards, LanguageModel, Vocabulary
from ulmfit.stages.shards import TRAINING_SPLITS
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built
from ulmfit.store.recipe import Recipe
from ulmfit.training.method import CLASSIFIER_VERSION, FINETUNE_VERSION, PRETRAIN_VERSION
from ulmfit.training.specs import ClassifySpec, FinetuneSpec, PretrainSpec, TrainingSpec
from ulmfit.training.train import train

VALID = ("valid",)


def pretrained(given: Pretrained, direction: Direction) -> Stage[LanguageModel]:
    """A pretrained language model as an artifact. The bytes of its files identify it, wherever it is."""
    files = given.digests(direction)
    recipe = Recipe("language-model", PRETRAIN_VERSION, {"files": files, "direction": direction})

    def build(work: Path, context: Context) -> Built:
        for file in files:
            filesystem.copy(given.folders[direction] / file, work / file)
        facts = given.manifest.directions.get(direction) if given.manifest else None
        return Built(facts.model_dump(exclude_none=True) if facts else {})

    return Stage(LanguageModel, recipe, {}, build)


def pretrain(ids: IdShards, vocab: Vocabulary, model: ModelConfig, config: LMConfig, direction: Direction) -> Stage[LanguageModel]:
    """A language model of general text (Howard & Ruder 2018, sec. 3.1)."""
    inputs = {"ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", PRETRAIN_VERSION, {"model": model, "training": config, "direction": direction}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        spec = PretrainSpec(
            ids=ids.path, train=TRAINING_SPLITS, valid=VALID, vocab=vocab.file, direction=direction, model=model, config=config
        )
        return _trained(spec, work, context)

    return Stage(LanguageModel, recipe, inputs, build, trains=True)


def finetune(lm: LanguageModel, ids: IdShards, vocab: Vocabulary, config: LMConfig, direction: Direction) -> Stage[LanguageModel]:
    """A language model that goes on with other text, its vocabulary carried over (sec. 3.2)."""
    inputs = {"language_model": lm, "ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", FINETUNE_VERSION, {"training": config, "direction": direction}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        spec = FinetuneSpec(
            ids=ids.path, train=TRAINING_SPLITS, valid=VALID, vocab=vocab.file, direction=direction, pretrained=lm.path, config=config
        )
        return _trained(spec, work, context)

    return Stage(LanguageModel, recipe, inputs, build, trains=True)


def classify(
    lm: LanguageModel | None, corpus: Corpus, ids: IdShards, vocab: Vocabulary, settings: Settings, direction: Direction
) -> Stage[Classifier]:
    """A classifier on the encoder of ``lm`` (sec. 3.3), or from scratch without one. Of ``settings``: ``model``, ``classifier``, ``labels``."""
    model, config, labels = settings.model, settings.classifier, settings.labels
    inputs = {"corpus": corpus, "ids": ids, "vocab": vocab} | ({"language_model": lm} if lm else {})
    drawn = {"labels": labels} if labels.number else {}
    recipe = Recipe(
        "classifier", CLASSIFIER_VERSION, {"model": model, "training": config, "direction": direction, **drawn}, keys_of(inputs)
    )

    def build(work: Path, context: Context) -> Built:
        spec = ClassifySpec(
            ids=ids.path,
            train=("train",),
            valid=VALID,
            vocab=vocab.file,
            direction=direction,
            lm=lm.path if lm else None,
            labels=tuple(corpus.record.labels),
            model=model,
            config=config,
            drawn=labels,
        )
        return _trained(spec, work, context)

    return Stage(Classifier, recipe, inputs, build, trains=True)


def _trained(spec: TrainingSpec, work: Path, context: Context) -> Built:
    return Built(train(spec, work, context.placement).model_dump(mode="json", exclude_none=True))
