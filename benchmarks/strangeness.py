"""How many texts get the warning that they are far from what the model knows: held-out ones of its own corpus, and others.

    python benchmarks/strangeness.py MODEL --own FILE --other NAME=FILE ... [--workspace DIR] [--texts 500] [--words 40]

MODEL: a folder, or models:/NAME/VERSION. Files: csv, Parquet, jsonl or lines, with a column ``text``. ``--own``: texts like the corpus's that
the model did not learn from: of ``--texts`` drawn (seed 0), half are the reference, half are judged. Every text is cut at ``--words`` words, so
that length tells nothing. "mixed words": the judged texts of the corpus with their words in another order. Warnings by unknown words alone, by
perplexity alone, and by either; and how well each figure tells the others' texts from the corpus's own (area under the ROC curve).
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace

import numpy as np
from measuring import hardware
from sklearn.metrics import roc_auc_score

from cli.predict import load_predictor, records_named
from ulmfit.prediction.familiar import Familiar, as_strange
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.strangeness import SELDOM, figures, strangeness


def texts_of(file: str, number: int, words: int) -> list[str]:
    texts = [" ".join(record.text.split()[:words]) for record in records_named(file, "text", "utf-8").read() if not record.reason]
    return random.Random(0).sample(texts, min(number, len(texts)))


def tell(name: str, predictor: Predictor, texts: list[str], own: tuple[np.ndarray, np.ndarray]) -> None:
    known = predictor.bundle.familiar
    assert known
    losses, unknown = figures(predictor, texts)
    by_words = np.array([as_strange(known.unknown, share) <= SELDOM for share in unknown])
    by_loss = np.array([as_strange(known.losses, loss) <= SELDOM for loss in losses])
    told = np.array([found.warning is not None for found in strangeness(predictor, texts)])
    assert np.array_equal(told, by_words | by_loss)
    areas = [
        roc_auc_score([0] * len(mine) + [1] * len(texts), np.append(mine, found))
        for mine, found in zip(own, (losses, unknown), strict=True)
    ]
    print(
        f"{name:<20}{len(texts):>6} texts; warned by unknown words {by_words.mean():6.1%}, by perplexity {by_loss.mean():6.1%}, by either "
        f"{told.mean():6.1%}; area {areas[0]:.3f} by perplexity, {areas[1]:.3f} by unknown words",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--own", required=True)
    parser.add_argument("--other", action="append", default=[])
    parser.add_argument("--workspace")
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--words", type=int, default=40)
    arguments = parser.parse_args()
    predictor = load_predictor(arguments.model, arguments.workspace)
    print(f"{hardware()}; {arguments.model}, {len(predictor.vocab)} words")
    own = texts_of(arguments.own, 2 * arguments.texts, arguments.words)
    reference, judged = own[::2], own[1::2]
    predictor.bundle = replace(predictor.bundle, familiar=Familiar.of(*figures(predictor, reference)))
    mine = figures(predictor, reference)
    mixed = [" ".join(random.Random(0).sample(text.split(), len(text.split()))) for text in judged]
    others = {
        name: texts_of(file, arguments.texts, arguments.words) for name, _, file in (other.partition("=") for other in arguments.other)
    }
    for name, texts in {"its own": judged, "mixed words": mixed, **others}.items():
        tell(name, predictor, texts, mine)


if __name__ == "__main__":
    main()
