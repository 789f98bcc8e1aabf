"""Keys of artifacts, written out: a change that moves one makes every workspace rebuild that stage, so it must be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pytest

from ulmfit.config import ClassifierConfig, WarmConfig
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.presets import override, preset
from ulmfit.stages.evaluation import measure
from ulmfit.stages.models import average, classify, finetune, pretrain, warm_finetune
from ulmfit.stages.monitoring import drift_reference
from ulmfit.stages.outputs import Classifier, Corpus, IdShards, LanguageModel, Model, Output, TokenShards, Vocabulary
from ulmfit.stages.shards import encode, grow_vocabulary, vocabulary
from ulmfit.store.artifacts import Built, Manifest
from ulmfit.store.recipe import Recipe

Made = TypeVar("Made", bound=Output[Any])
CORPUS_FACTS = {
    "name": "mail", "digest": "", "labels": ["ham", "spam"], "splits": {}, "parts": [], "quarantined": {}, "duplicates": 0,
    "overlap_removed": 0, "warnings": [],
}  # fmt: skip

KEYS = {
    "tiny": {
        "vocabulary": "ee33ac42c2e7502210112c010fc95eb24903534ce61befa7c3cb091b3095b56d",
        "pretrain": "c645de0449419515997d299e34335acf9cdf7ea15258ee433f873daf3a19a487",
        "finetune": "6aee2fdfbf1d79c5b01d6f990a1002c768c5412e9885bc18b2e8ea4e11f6a4fe",
        "classify": "5d0739e4b63b147b2bccc5aa9a8465231f715a393505886798932d82c38cba6f",
        "evaluate": "4df8a224c76689a36e3d2de599e68ff8f3d65279b9adfa15ac1e4b9888afb4d8",
    },
    "small": {
        "vocabulary": "2e4dffeb36b7902fe345579e0034c6ec7ba1db5f21bd0b6a812bd6660e62e28d",
        "pretrain": "dda81cf73081a2dd8d6b821a3ee4d4ef29214c12a09947679bf2626f4833d2c1",
        "finetune": "45a4d8fa9e7858b5e222ff573474485307a32fc5b5feb180ee2549d7e4374225",
        "classify": "790d590d8c18e81dd3d26bcc5a0e3bfc6c263139dcf9b4ee3f54e687f1e593bb",
        "evaluate": "3d79647335c65e7a4918915dff8e32f961d003eb0380a08e51e69153998d197f",
    },
    "base": {
        "vocabulary": "813cf652a84efa3f2b86125187480849b9bcb5f4d44b5db407de1435bbf72881",
        "pretrain": "2e5879708a7f4de6e3e69a74b1d45b6f8e39274cc29b3c0a6b63ea3f8b2cdf0b",
        "finetune": "531c970f97457e2e2209596f3f2b56fb2538b31a7f589e6312c88c5bea97dee2",
        "classify": "e98857cb31f36e76d1c8544458b3e8273cf64ab49bd22ec3d1f8f8dd9d9a47ec",
        "evaluate": "3d79647335c65e7a4918915dff8e32f961d003eb0380a08e51e69153998d197f",
    },
}


def made(output: type[Made], digit: str, record: dict[str, object] | None = None) -> Made:
    """A finished artifact whose key is one digit, 64 times."""
    manifest = Manifest.of(Recipe("kind", 1, {}), Built(record or {}), {}, 0.0).model_copy(update={"key": digit * 64})
    return output("nowhere", manifest, Path("nowhere"))


CORPUS = made(Corpus, "0", CORPUS_FACTS)
TOKENS, VOCAB, IDS = made(TokenShards, "1"), made(Vocabulary, "2"), made(IdShards, "3")
LM, FORWARD, BACKWARD, MODEL = made(LanguageModel, "4"), made(Classifier, "5"), made(Classifier, "6"), made(Model, "7")


@pytest.mark.parametrize("name", KEYS)
def test_keys_of_the_presets(name: str) -> None:
    settings = preset(name)
    stages = {
        "vocabulary": vocabulary(CORPUS, TOKENS, settings.vocab, settings.quality),
        "pretrain": pretrain(IDS, VOCAB, settings.model, settings.pretrain, "forward"),
        "finetune": finetune(LM, IDS, VOCAB, settings.finetune, "forward"),
        "classify": classify(LM, CORPUS, IDS, VOCAB, settings, "forward"),
        "evaluate": measure(CORPUS, IDS, MODEL, None, settings),
    }
    assert {kind: stage.recipe.key for kind, stage in stages.items()} == KEYS[name]


def classifier_and_evaluation(*options: str) -> tuple[str, str]:
    settings = override(preset("tiny"), list(options))
    classifier = classify(LM, CORPUS, IDS, VOCAB, settings, "forward")
    return classifier.recipe.key, measure(CORPUS, IDS, MODEL, None, settings).recipe.key


def test_a_draw_of_labels_enters_keys_only_where_it_is_asked_for() -> None:
    all_labels = KEYS["tiny"]["classify"], KEYS["tiny"]["evaluate"]
    assert classifier_and_evaluation("labels.seed=5") == all_labels
    draws = [classifier_and_evaluation(f"labels.number={number}", f"labels.seed={seed}") for number in (50, 60) for seed in (0, 1)]
    for keys in zip(all_labels, *draws, strict=True):
        assert len(set(keys)) == 5


def test_limits_that_were_added_later_enter_keys_only_where_they_are_set() -> None:
    classifier, evaluation = KEYS["tiny"]["classify"], KEYS["tiny"]["evaluate"]
    assert classifier_and_evaluation("classifier.max_valid=null", "evaluate.max_documents=null") == (classifier, evaluation)
    limited = classifier_and_evaluation("classifier.max_valid=500")
    assert limited[0] != classifier and limited[1] == evaluation
    assert classifier_and_evaluation("evaluate.max_documents=500")[1] not in (evaluation, limited[1])


def test_the_split_that_judges_concerns_the_evaluation_alone() -> None:
    classifier, evaluation = classifier_and_evaluation("judge=valid")
    assert classifier == KEYS["tiny"]["classify"] and evaluation != KEYS["tiny"]["evaluate"]
    assert classifier_and_evaluation("judge=valid", "labels.number=50")[1] not in (evaluation, KEYS["tiny"]["evaluate"])


def test_keys_that_depend_on_no_setting() -> None:
    assert encode(CORPUS, TOKENS, VOCAB).recipe.key == "2be916558a69d76ce4987c3e86074bab9ccd89d3024b32aca698939e34f3ae14"
    assert (
        average(FORWARD, BACKWARD, CORPUS, TOKENS, VOCAB, ClassifierConfig()).recipe.key
        == "6268a1fc55dc43673f739927c43a83b527e6996ffb3aa4a9162833ccce7e4865"
    )


def test_keys_of_what_goes_on() -> None:
    settings, warm = preset("tiny"), WarmConfig(replay=1.0, epochs=2.0, rate=0.5, keep=0.5)
    grown = grow_vocabulary(CORPUS, TOKENS, VOCAB, settings.vocab, settings.quality)
    assert grown.recipe.key == "e107c3ae1fdcf638febce3dcf75ba41d7cbe167c4e9e9a7ff33d550e1892a72b"
    going_on = warm_finetune(LM, IDS, VOCAB, ("part-00001",), warm, settings.finetune, "forward")
    assert going_on.recipe.key == "30916259d5bbd71b37afb5161006ffa7852cb990edfafbeab03f52424ad0b359"


def test_limits_of_drift_do_not_concern_what_is_measured() -> None:
    measured = DriftPolicy(sample=2000, max_tokens=200)
    key = drift_reference(CORPUS, LM, MODEL, measured).recipe.key
    assert key == "89e8bd1d9f17fcc7826f89294b1f7859bd425c5434a626e7b15c6ece73114870"
    assert drift_reference(CORPUS, LM, MODEL, measured.model_copy(update={"min_perplexity": 0.4, "min_labels": 9})).recipe.key == key
    assert drift_reference(CORPUS, LM, MODEL, measured.model_copy(update={"sample": 100})).recipe.key != key


def test_settings_that_were_added_later_enter_keys_only_where_they_are_set() -> None:
    of_all = KEYS["tiny"]["classify"], KEYS["tiny"]["evaluate"]
    assert classifier_and_evaluation("labels.oversample=null", "labels.seed=3", "corpus.draw=3") == of_all
    for keys in zip(
        of_all, classifier_and_evaluation("labels.oversample=true"), classifier_and_evaluation("labels.number=50"), strict=True
    ):
        assert len(set(keys)) == 3
    before = (
        "cac92fefb6f86fb8d2a26cb8228f6ce6cc876865d7fa04c4ef737320ee1600f0",
        "cfe6f4aab6964c629e728a3cc354c44231b7300c8cd79502141f74aa63b3742d",
    )
    assert classifier_and_evaluation("labels.number=50") == before
