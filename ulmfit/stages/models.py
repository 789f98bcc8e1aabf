"""The stages that make models: language models and classifiers of one direction, a model of words, and the ensemble of them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ulmfit.config import ClassifierConfig, LabelsConfig, LMConfig, ModelConfig, Settings, WarmConfig
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.evaluation.predictions import WrittenPredictions
from ulmfit.evaluation.weighing import Witnesses
from ulmfit.labels.drawing import rows_to_learn, rows_to_validate
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.words import WordModel
from ulmfit.prediction.bundle import Bundle, write_bundle
from ulmfit.prediction.weighing import add_words
from ulmfit.pretrained.transport import Pretrained
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.outputs import (
    ChosenRows,
    Classifier,
    Corpus,
    IdShards,
    LanguageModel,
    Model,
    ModelRecord,
    Output,
    TokenShards,
    Vocabulary,
    Words,
    WordsRecord,
)
from ulmfit.stages.shards import TRAINING_SPLITS
from ulmfit.stages.stage import Context, Made, Stage, keys_of
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built
from ulmfit.store.lineage import FILE, Lineage
from ulmfit.store.recipe import Recipe
from ulmfit.training.method import CLASSIFIER_VERSION, FINETUNE_VERSION, PRETRAIN_VERSION, WARM_VERSION, train
from ulmfit.training.out_of_fold import read_left_out, witnesses
from ulmfit.training.specs import ClassifySpec, FinetuneSpec, PretrainSpec, TextSpec, TrainingSpec, WarmSpec
from ulmfit.training.words import READ, train_words

log = logging.getLogger(__name__)

BUNDLE_VERSION = 1
MIXTURE_VERSION = 2
WORDS_VERSION = 3
WEIGHED = 500  # validation documents by which members are weighed, at most: they tell three numbers well enough
VALID = ("valid",)


def pretrained(given: Pretrained, direction: Direction) -> Stage[LanguageModel]:
    """A pretrained language model as an artifact. The bytes of its files identify it, wherever it is."""
    files = given.digests(direction)
    recipe = Recipe("language-model", PRETRAIN_VERSION, {"files": files, "direction": direction})

    def build(work: Path, context: Context) -> Built:
        for file in files:
            filesystem.copy(given.folders[direction] / file, work / file)
        licence = {"licence": given.manifest.licence} if given.manifest and given.manifest.licence else {}
        return Built({**given.facts(direction).model_dump(exclude_none=True), **licence})

    return Stage(LanguageModel, recipe, {}, build)


def pretrain(ids: IdShards, vocab: Vocabulary, model: ModelConfig, config: LMConfig, direction: Direction) -> Stage[LanguageModel]:
    """A language model of general text (Howard & Ruder 2018, sec. 3.1)."""
    inputs = {"ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", PRETRAIN_VERSION, {"model": model, "training": config, "direction": direction}, keys_of(inputs))
    spec = lambda: PretrainSpec(**dict(language_model_text(ids, vocab, direction)), model=model, config=config)
    return _training(LanguageModel, recipe, inputs, spec)


def finetune(lm: LanguageModel, ids: IdShards, vocab: Vocabulary, config: LMConfig, direction: Direction) -> Stage[LanguageModel]:
    """A language model that goes on with other text, its vocabulary carried over (sec. 3.2)."""
    inputs = {"language_model": lm, "ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", FINETUNE_VERSION, {"training": config, "direction": direction}, keys_of(inputs))
    spec = lambda: FinetuneSpec(**dict(language_model_text(ids, vocab, direction)), pretrained=lm.path, config=config)
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
    spec = lambda: warm_spec(lm.path, language_model_text(ids, vocab, direction), new_parts, config, training)
    return _training(LanguageModel, recipe, inputs, spec)


def warm_training(config: WarmConfig, finetune: LMConfig) -> LMConfig:
    """How a language model goes on."""
    return finetune.model_copy(update={"epochs": config.epochs, "lr": finetune.lr * config.rate})


def language_model_text(ids: IdShards, vocab: Vocabulary, direction: Direction) -> TextSpec:
    """The text that a language model reads, labelled or not."""
    return TextSpec(ids=ids.path, train=TRAINING_SPLITS, valid=VALID, vocab=vocab.file, direction=direction)


def warm_spec(earlier: Path, text: TextSpec, new_parts: Sequence[str], config: WarmConfig, training: LMConfig) -> WarmSpec:
    """What :func:`warm_finetune` trains, of the language model in ``earlier``."""
    return WarmSpec(
        **dict(text),
        earlier=earlier,
        new_parts=tuple(sorted(new_parts)),
        replay=config.replay,
        seed=config.seed,
        keep=config.keep,
        config=training,
    )


def classify(
    lm: LanguageModel | None,
    corpus: Corpus,
    ids: IdShards,
    vocab: Vocabulary,
    settings: Settings,
    direction: Direction,
    chosen: ChosenRows | None = None,
) -> Stage[Classifier]:
    """A classifier on the encoder of ``lm`` (sec. 3.3), or from scratch without one. Of ``settings``: ``model``, ``classifier``, ``labels``.

    ``chosen``: the rows to learn from, in the place of a draw.
    """
    inputs: dict[str, Output[Any]] = {"corpus": corpus, "ids": ids, "vocab": vocab} | ({"language_model": lm} if lm else {})
    inputs |= {"chosen": chosen} if chosen else {}
    labels = drawn_labels(settings, chosen)
    facts = {"model": settings.model, "training": settings.classifier.keyed(), "direction": direction}
    drawn = {"labels": keyed} if (keyed := labels.keyed()) else {}
    recipe = Recipe("classifier", CLASSIFIER_VERSION, facts | drawn, keys_of(inputs))
    spec = lambda: ClassifySpec(
        ids=ids.path,
        train=chosen.record.splits if chosen else ("train",),
        valid=VALID,
        vocab=vocab.file,
        direction=direction,
        lm=lm.path if lm else None,
        labels=corpus.record.labels,
        model=settings.model,
        config=settings.classifier,
        drawn=labels,
        chosen=chosen.file if chosen else None,
        rest_validates=bool(chosen and chosen.record.rest_validates),
    )
    return _training(Classifier, recipe, inputs, spec)


def drawn_labels(settings: Settings, chosen: ChosenRows | None) -> LabelsConfig:
    """How labels are drawn: rows that were chosen are drawn no more."""
    return settings.labels.model_copy(update={"number": None}) if chosen else settings.labels


def _training(output: type[Made], recipe: Recipe, inputs: Mapping[str, Output[Any]], spec: Callable[[], TrainingSpec]) -> Stage[Made]:
    """``spec`` is called when the artifact is built, since it fetches the inputs' files."""

    def build(work: Path, context: Context) -> Built:
        return Built(train(spec(), work, context.placement).model_dump(mode="json", exclude_none=True))

    return Stage(output, recipe, inputs, build, trains=True)


def word_model(corpus: Corpus, settings: Settings, chosen: ChosenRows | None = None) -> Stage[Words]:
    """Logistic regression on TF-IDF and on themes, which are found in all training text. It learns from the rows that the classifiers learn from. Of ``settings``: ``classifier``, ``labels``."""
    inputs: dict[str, Output[Any]] = {"corpus": corpus} | ({"chosen": chosen} if chosen else {})
    task, draws = settings.classifier.model_dump(include={"task", "label_separator"}), drawn_labels(settings, chosen)
    seed = {"seed": draws.seed} if draws.seed else {}  # it decides about folds and themes, too
    drawn = {"labels": keyed} if (keyed := draws.keyed()) else seed
    recipe = Recipe("words", WORDS_VERSION, task | drawn, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        strings, train = corpus.record.labels, read_split(corpus, "train")
        labels = LabelSet.of(strings, settings.classifier)
        read = _some_text(corpus, settings.labels.seed)
        train = train.take(rows_to_learn(labels.strata_of(train.codes(strings)), draws, chosen.rows if chosen else None).tolist())
        model = train_words(train.texts, labels.truth_of(train.codes(strings)), len(labels), settings.labels.seed, read)
        model.save(work)
        return Built(WordsRecord(terms=len(model.weights), documents=len(train.texts)).model_dump())

    return Stage(Words, recipe, inputs, build)


def _some_text(corpus: Corpus, seed: int) -> list[str]:
    """Training text, labelled or not, of parts that are drawn until it is enough: a corpus may be larger than memory."""
    found: list[str] = []
    for number in np.random.default_rng(seed).permutation(len(corpus.record.parts)).tolist():
        file = corpus.path / f"{corpus.record.parts[number].name}.parquet"
        rows = pq.read_table(file, columns=["text", "piece"], filters=[("split", "in", TRAINING_SPLITS)])
        found += [row["text"] for row in rows.to_pylist() if not row["piece"]]
        if len(found) >= READ:
            break
    return found


def average(
    forward: Classifier,
    backward: Classifier,
    corpus: Corpus,
    tokens: TokenShards,
    vocab: Vocabulary,
    config: ClassifierConfig,
    words: Words | None = None,
) -> Stage[Model]:
    """Both classifiers as one model (sec. 3.3): with their vocabulary, tokenizer and lineage it is what predicts, and what is registered.

    With ``words`` it is the ensemble of three, weighed by validation documents, of those that the classifiers of ``config`` look at.
    """
    inputs: dict[str, Output[Any]] = {"forward": forward, "backward": backward, "tokens": tokens, "vocab": vocab}
    facts: dict[str, Any] = {"labels": corpus.record.labels}
    if words:
        inputs["words"] = words
        facts |= weighing(config)
    recipe = Recipe("model", BUNDLE_VERSION, facts, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        names = write_bundle(work, forward.path, backward.path, vocab.file, tokens.tokenizer)
        lineage = Lineage.of(recipe, context.store)
        filesystem.write_bytes(work / FILE, lineage.to_json())
        weight = None
        if words:
            both = read_left_out({"forward": forward.path, "backward": backward.path})
            folds = _folds(both, words, corpus, config) if both else None
            weight = _weigh(work, words, corpus, config, context.placement.device, folds)
        return Built(ModelRecord(labels=tuple(names), artifacts=len(lineage.artifacts), words=weight).model_dump(mode="json"))

    return Stage(Model, recipe, inputs, build)


def weighing(config: ClassifierConfig) -> dict[str, Any]:
    """What decides about the weights of the members, beside themselves and the validation documents."""
    return {"mixture": MIXTURE_VERSION, "weighed": min(WEIGHED, config.max_valid or WEIGHED), "seed": config.seed}


def rows_to_weigh(documents: int, config: ClassifierConfig) -> NDArray[np.int64]:
    """Those of the validation ``documents`` by which the members are weighed."""
    return rows_to_validate(documents, config.seed, min(WEIGHED, config.max_valid or WEIGHED))


def _folds(both: Mapping[Direction, WrittenPredictions], words: Words, corpus: Corpus, config: ClassifierConfig) -> Witnesses:
    """The training documents that both classifiers left out, fold by fold."""
    train, labels = read_split(corpus, "train"), both["forward"].names
    texts = dict(zip(train.ids, train.texts, strict=True))
    return witnesses(both, WordModel.load(words.path, len(labels)), texts, config.seed)


def _weigh(bundle: Path, words: Words, corpus: Corpus, config: ClassifierConfig, device: str, folds: Witnesses | None) -> float:
    """Make words a member of the ensemble in ``bundle``, and find out how much they count; their weight."""
    rows, strings = read_split(corpus, "valid"), corpus.record.labels
    saved = Bundle.read(bundle).calibration(DIRECTIONS[0])
    labels = LabelSet.of(strings, ClassifierConfig(task=saved.task, label_separator=saved.label_separator))
    rows = rows.take(rows_to_weigh(len(rows.ids), config).tolist())
    weight = add_words(bundle, words.path, rows.texts, labels.truth_of(rows.codes(strings)), device, folds).weights["words"]
    further = f" and {len(folds.truth)} of folds" if folds else ""
    log.info("words count %.0f%% in the answer, by %d validation documents%s", 100 * weight, len(rows.ids), further)
    return weight
