"""What stands behind a registered version, as far as the store still has it: its corpus, its vocabulary and its language models."""

from dataclasses import dataclass
from typing import Any, TypeVar

from mlflow.entities.model_registry import ModelVersion

from tasks.calls import KEY_TAG
from ulmfit.config import ModelConfig
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.stages.outputs import Classifier, Corpus, LanguageModel, Model, Output, TokenShards, Vocabulary
from ulmfit.store.artifacts import Store, damaged

Made = TypeVar("Made", bound=Output[Any])


@dataclass(frozen=True)
class Behind:
    """The artifacts behind a model. ``sizes``: of its language models."""

    model: Model
    corpus: Corpus
    tokens: TokenShards
    vocab: Vocabulary
    lms: dict[Direction, LanguageModel]
    sizes: ModelConfig

    @classmethod
    def of(cls, store: Store, version: ModelVersion) -> "Behind":
        """UserError, saying what is missing, where the store has not all of it, or it is damaged."""
        find = lambda kind, output, key: _found(store, kind, output, key)
        model = find("model", Model, version.tags.get(KEY_TAG, ""))
        inputs = model.manifest.inputs
        classifiers = {direction: find("classifier", Classifier, inputs[direction]) for direction in DIRECTIONS}
        first = next(iter(classifiers.values())).manifest
        lms = {
            direction: find("language-model", LanguageModel, classifier.manifest.inputs.get("language_model", ""))
            for direction, classifier in classifiers.items()
        }
        return cls(
            model,
            find("corpus", Corpus, first.inputs["corpus"]),
            find("tokens", TokenShards, inputs["tokens"]),
            find("vocab", Vocabulary, inputs["vocab"]),
            lms,
            ModelConfig.model_validate(first.config["model"]),
        )


def _found(store: Store, kind: str, output: type[Made], key: str) -> Made:
    found = store.find(kind, key) if key else None
    if found is None:
        raise UserError(f"its {kind} is no longer in the artifact store")
    if output is not Corpus and (bad := damaged(found)):
        raise UserError(f"{found.location}/{bad[0]} is missing or damaged")
    return output(found.location, found.manifest, found.copy)
