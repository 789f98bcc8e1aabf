"""What is told of a trained model besides its scores: reasons for its most confident mistakes, and what text it is familiar with."""

from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from ulmfit.evaluation.results import read_results
from ulmfit.prediction.explain import explain
from ulmfit.prediction.explanation import Explanation
from ulmfit.prediction.familiar import Familiar, read_familiar, write_familiar
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.strangeness import figures
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.outputs import Corpus, Evaluation, Familiarity, FamiliarityRecord, Model, Reasons, ReasonsRecord
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.store.artifacts import Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe

REASONS_VERSION, FAMILIARITY_VERSION = 2, 1
MISTAKES = 6  # that the report shows at once
LONGEST = 2_000  # characters of a text that is explained: a longer one takes many seconds, and no page shows it
FILE = "reasons.json"
HELD_OUT = ("test", "valid")
SAMPLE = 1_000  # held-out documents that are measured, at most
REASONS: TypeAdapter[dict[str, Explanation]] = TypeAdapter(dict[str, Explanation])


def reasons(corpus: Corpus, model: Model, evaluation: Evaluation, judge: str) -> Stage[Reasons]:
    """Explanations of the first mistakes of an evaluation on the split ``judge``, by the ids of the documents."""
    inputs = {"corpus": corpus, "model": model, "evaluation": evaluation}
    recipe = Recipe("reasons", REASONS_VERSION, {"judge": judge, "most": MISTAKES}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        wanted = {mistake.id for mistake in read_results(evaluation.path).mistakes[:MISTAKES]}
        rows = read_split(corpus, judge)
        texts = {name: text for name, text in zip(rows.ids, rows.texts, strict=True) if name in wanted and len(text) <= LONGEST}
        predictor = Predictor(model.path, context.placement.device)
        found = {name: explain(predictor, text) for name, text in texts.items()}
        write_bytes(work / FILE, REASONS.dump_json(found))
        return Built(ReasonsRecord(explained=len(found)).model_dump())

    return Stage(Reasons, recipe, inputs, build)


def read_reasons(made: Reasons) -> dict[str, Explanation]:
    """The explanations, by the ids of the documents."""
    return REASONS.validate_json((made.path / FILE).read_bytes())


def familiarity(corpus: Corpus, model: Model) -> Stage[Familiarity]:
    """How strange a sample of the held-out documents of ``corpus`` is to ``model``, which did not learn from them."""
    inputs = {"corpus": corpus, "model": model}
    recipe = Recipe("familiarity", FAMILIARITY_VERSION, {"sample": SAMPLE}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        texts = [text for split in HELD_OUT for text in read_split(corpus, split).texts]
        chosen = np.sort(np.random.default_rng(0).permutation(len(texts))[:SAMPLE]).tolist()
        found = Familiar.of(*figures(Predictor(model.path, context.placement.device), [texts[row] for row in chosen]))
        write_familiar(work, found)
        return Built(FamiliarityRecord(documents=len(found.unknown)).model_dump())

    return Stage(Familiarity, recipe, inputs, build)


def familiar_of(made: Familiarity) -> Familiar:
    """The figures."""
    found = read_familiar(made.path)
    assert found, "the stage has written them"
    return found
