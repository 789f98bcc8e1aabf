"""The two directions' classifiers as one model, with all that prediction needs (Howard & Ruder 2018, sec. 3.3)."""

from pathlib import Path

from ulmfit.models.saving import read_saved_model
from ulmfit.prediction.bundle import write_bundle
from ulmfit.stages.outputs import Classifier, Corpus, Model, TokenShards, Vocabulary
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.store.artifacts import Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.lineage import FILE, Lineage
from ulmfit.store.recipe import Recipe

BUNDLE_VERSION = 1


def average(forward: Classifier, backward: Classifier, corpus: Corpus, tokens: TokenShards, vocab: Vocabulary) -> Stage[Model]:
    """Both classifiers, their vocabulary and tokenizer, and the lineage of all of it: what predicts, and what is registered."""
    inputs = {"forward": forward, "backward": backward, "tokens": tokens, "vocab": vocab}
    recipe = Recipe("model", BUNDLE_VERSION, {"labels": corpus.record.labels}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        names = list(read_saved_model(forward.path).labels)  # where a document has several labels, each by itself
        write_bundle(work, forward.path, backward.path, vocab.file, _tokenizer(tokens), names)
        lineage = Lineage.of(recipe, context.store)
        write_bytes(work / FILE, lineage.to_json())
        return Built({"labels": names, "artifacts": len(lineage.artifacts)})

    return Stage(Model, recipe, inputs, build)


def _tokenizer(tokens: TokenShards) -> dict[str, object]:
    """The definition of the tokenizer that made these shards."""
    return {name: value for name, value in tokens.artifact.manifest.config.items() if name != "quarantine_poison"}
