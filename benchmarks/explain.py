"""Whether the words that an explanation names carry the prediction: the label's probability when they are taken out.

    python benchmarks/explain.py WORKSPACE... [--texts 60] [--words 400] [--seed 0]

Each workspace holds what one ``ulmfit train`` made; texts are drawn from the test rows of its corpus. Beside the words of
``ulmfit/prediction/explain.py`` as many by chance (the mean of five draws), and the highest by input gradient: gradient times input, and its
length. All are taken out of the text, which is then predicted again.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from measuring import hardware

from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.models.awd_lstm import library_lstm
from ulmfit.prediction.explain import WORD, explain
from ulmfit.prediction.predictor import Predictor
from ulmfit.shards.batches import oriented

COUNTS = (1, 3, 5)  # words taken out
DRAWS = 5
Span = tuple[int, int]


def without(text: str, spans: Sequence[Span]) -> str:
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:].lstrip()
    return text


def gradients(predictor: Predictor, text: str, code: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Gradient times input, and the gradient's length, of each word; None where tokens do not tell of which word they are."""
    words = [match[0] for match in WORD.finditer(text)]
    counts = [len(tokens) - 1 for tokens in predictor.tokenizer(words)]
    ids = np.asarray(predictor.encode([text]).doc(0))
    if 1 + sum(counts) != len(ids):
        return None
    found = [_gradient(predictor, direction, ids, code) for direction in DIRECTIONS]
    of_word = np.repeat(np.arange(len(words)), counts)
    products, lengths = (np.mean([each[number] for each in found], axis=0)[1:] for number in (0, 1))
    return np.bincount(of_word, products, len(words)), np.bincount(of_word, lengths, len(words))


def _gradient(predictor: Predictor, direction: Direction, ids: np.ndarray, code: int) -> tuple[np.ndarray, np.ndarray]:
    """Per token, of the label's probability in one direction."""
    folded = predictor._folded[direction]
    x = inputs = folded.embedding[torch.from_numpy(oriented(ids, direction).astype(np.int64))][:, None].requires_grad_()
    for size, weights in zip(folded.sizes, folded.layers, strict=True):
        zeros = x.new_zeros(1, 1, size)
        x, _state = library_lstm(x, (zeros, zeros), weights, learning=True)
    pooled = torch.cat([x[-1], x.amax(0), x.mean(0)], dim=1)
    logits = F.linear(F.linear(pooled, *folded.linear1).relu(), *folded.linear2)
    (logits / predictor.bundle.calibration(direction).temperature).softmax(1)[0, code].backward()
    assert inputs.grad is not None
    product, length = (inputs.grad * inputs).sum((1, 2)).detach().numpy(), inputs.grad.norm(dim=2)[:, 0].numpy()
    return oriented(product, direction), oriented(length, direction)


def falls_of(predictor: Predictor, text: str, rng: np.random.Generator) -> dict[str, list[float]] | None:
    """By method and for each of ``COUNTS``: how far the probability falls."""
    explained = explain(predictor, text)
    code = predictor.labels.index(explained.label)
    found = gradients(predictor, text, code)
    spans = [match.span() for match in WORD.finditer(text)]
    if found is None or len(spans) <= max(COUNTS):
        return None
    product, length = found
    chosen = {
        "explanation": [(word.start, word.end) for word in sorted(explained.words, key=lambda word: -word.effect)],
        "gradient times input": [spans[i] for i in np.argsort(-product)],
        "length of the gradient": [spans[i] for i in np.argsort(-length)],
        **{f"chance {draw}": [spans[i] for i in rng.permutation(len(spans))] for draw in range(DRAWS)},
    }
    variants = [without(text, order[:count]) for order in chosen.values() for count in COUNTS]
    left = predictor.probabilities(variants, shown=False)[:, code].reshape(len(chosen), len(COUNTS))
    falls = dict(zip(chosen, (explained.probability - left).tolist(), strict=True))
    by_chance = np.mean([falls.pop(f"chance {draw}") for draw in range(DRAWS)], axis=0)
    return {**falls, "chance": by_chance.tolist()}


def texts_in(workspace: Path, number: int, longest: int, seed: int) -> tuple[Path, list[str]]:
    """The folder of the workspace's model, and texts of the test rows of its corpus."""
    (model,) = (workspace / "artifacts" / "model").iterdir()
    (corpus,) = (workspace / "artifacts" / "corpus").iterdir()
    table = pa.concat_tables([pq.read_table(part, columns=["text", "split"]) for part in sorted(corpus.glob("part-*.parquet"))])
    texts = [row["text"] for row in table.to_pylist() if row["split"] == "test" and len(row["text"].split()) <= longest]
    return model, [texts[place] for place in np.random.default_rng(seed).permutation(len(texts))[:number]]


def measure(workspace: Path, number: int, longest: int, seed: int) -> None:
    folder, texts = texts_in(workspace, number, longest, seed)
    predictor, rng, seconds = Predictor(folder, precision="fp32"), np.random.default_rng(seed), list[float]()
    rows = []
    for text in texts:
        started = time.perf_counter()
        found = falls_of(predictor, text, rng)
        seconds.append(time.perf_counter() - started)
        rows += [found] if found else []
    print(
        f"\n{workspace.name}: {len(rows)} texts of {len(texts)}, {statistics.median(len(text.split()) for text in texts):.0f} words in the middle"
    )
    print(f"{'':<24}" + "".join(f"{f'{count} word(s)':>24}" for count in COUNTS))
    own = np.array([row["explanation"] for row in rows])
    for method in rows[0]:
        falls = np.array([row[method] for row in rows])
        print(f"{method:<24}" + "".join(f"{said(falls[:, place]):>24}" for place in range(len(COUNTS))), flush=True)
        if method != "explanation":
            print(
                f"{'  explanation better by':<24}" + "".join(f"{said((own - falls)[:, place]):>24}" for place in range(len(COUNTS))),
                flush=True,
            )


def said(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspaces", type=Path, nargs="+")
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--words", type=int, default=400, help="of a text, at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{hardware()}; falls of the probability: mean and half of the 95% interval")
    for workspace in arguments.workspaces:
        measure(workspace, arguments.texts, arguments.words, arguments.seed)


if __name__ == "__main__":
    main()
