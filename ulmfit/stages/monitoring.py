"""What a model's drift is told by: the figures of the held-out documents of its corpus, measured once for each model."""

from pathlib import Path

from ulmfit.models.saving import load_language_model
from ulmfit.monitoring.drift_figures import FILE
from ulmfit.monitoring.measuring import measure
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.prediction.predictor import Predictor
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.outputs import Corpus, DriftReference, DriftReferenceRecord, LanguageModel, Model
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.store.artifacts import Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe

REFERENCE_VERSION = 1
HELD_OUT = ("test", "valid")


def drift_reference(corpus: Corpus, lm: LanguageModel, model: Model, policy: DriftPolicy) -> Stage[DriftReference]:
    """Figures of the documents that ``model`` did not learn from, in its own ``corpus``; ``lm``: the forward domain LM behind it.

    Of ``policy``: how many documents and tokens are measured.
    """
    inputs = {"corpus": corpus, "language_model": lm, "model": model}
    measuring = policy.model_dump(include={"sample", "max_tokens", "seed"})
    recipe = Recipe("drift-reference", REFERENCE_VERSION, measuring, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        texts, labels = [], []
        for split in HELD_OUT:
            rows = read_split(corpus, split)
            texts += rows.texts
            labels += rows.labels
        figures = measure(texts, labels, load_language_model(lm.path), Predictor(model.path, context.placement.device), policy)
        write_bytes(work / FILE, figures.model_dump_json().encode())
        return Built(DriftReferenceRecord(documents=len(figures.losses), labelled=sum(figures.labels.values())).model_dump())

    return Stage(DriftReference, recipe, inputs, build)
