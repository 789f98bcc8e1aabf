"""How soon one text is answered: in a warm process, and by a cold ``ulmfit predict``.

    python benchmarks/latency.py [--texts 50] [--starts 5] [--words 200]

The model has the sizes and the vocabulary of the preset ``small``, both directions, and weights by chance, which take the same time
as trained ones. The limit is PyTorch's LSTM kernels alone, which read all weights at every step. A figure counts where other
processes had next to nothing of the cores: that share is printed beside each.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from measuring import hardware

from ulmfit.compute.cores import side_by_side
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.models.awd_lstm import library_lstm
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.saving import ModelFacts, save_model
from ulmfit.prediction.bundle import write_bundle
from ulmfit.prediction.predictor import Predictor
from ulmfit.presets import preset
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab

ROOT = Path(__file__).parent.parent
WARM_UP = 5  # texts


def make_model(folder: Path) -> Path:
    """A bundle of the preset ``small`` with two labels."""
    settings, words = preset("small"), ROOT / "pretrained" / "small" / "forward" / "vocab.json"
    for seed, direction in enumerate(DIRECTIONS):
        (folder / direction).mkdir()
        head = HeadConfig(settings.classifier.hidden)
        model = Classifier(len(Vocab.load(words)), 2, settings.model, settings.classifier.dropouts, head, seed)
        save_model(folder / direction, model, ModelFacts(direction=direction, labels=("bad", "good")))
    write_bundle(folder / "model", folder / "forward", folder / "backward", words, Tokenizer().definition)
    return folder / "model"


def texts_of(vocab: Vocab, number: int, words: int) -> list[str]:
    rng = random.Random(0)
    known = [token for token in vocab.tokens[100:5000] if token.isalpha()]
    return [" ".join(rng.choices(known, k=words)) for _ in range(number)]


@contextmanager
def timed(name: str, seconds: list[float]) -> Iterator[None]:
    """Print the median of the ``seconds`` that the block adds, and what share of the cores other processes had meanwhile."""
    busy, own, started = _busy(), _own(), time.perf_counter()
    yield
    capacity = (time.perf_counter() - started) * (os.cpu_count() or 1)
    others = min(1.0, max(0.0, _busy() - busy - (_own() - own)) / capacity)
    middle, least = statistics.median(seconds), min(seconds)
    print(
        f"{name:<32} median {1000 * middle:8.1f} ms, least {1000 * least:8.1f} ms of {len(seconds)}; others had {others:.0%} of the cores"
    )


def _busy() -> float:
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def _own() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(name: str, work: Callable[[str], object], texts: Sequence[str]) -> None:
    seconds: list[float] = []
    for text in texts[:WARM_UP]:
        work(text)
    with timed(name, seconds):
        for text in texts[WARM_UP:]:
            started = time.perf_counter()
            work(text)
            seconds.append(time.perf_counter() - started)


def warm(folder: Path, texts: list[str], words: int) -> None:
    predictor = Predictor(folder)
    products = next(iter(predictor._folded.values())).embedding.dtype
    print(f"{torch.get_num_threads()} threads, products in {products}")
    measure("text to probabilities", lambda text: predictor.probabilities([text]), texts)
    measure("  of it text to ids", lambda text: predictor.encode([text]), [f"{text} end" for text in texts])
    encoded = {text: predictor.encode([text]) for text in texts}
    measure("  of it the two classifiers", lambda text: predictor.logits_of(encoded[text]), texts)
    measure("limit: the LSTM kernels alone", kernels(predictor, words + 1), texts)


def kernels(predictor: Predictor, steps: int) -> Callable[[str], None]:
    """The LSTM kernels alone, on ``steps`` vectors of zeros, the directions side by side as in prediction."""

    @torch.no_grad()
    def read(direction: Direction) -> None:
        folded = predictor._folded[direction]
        x = folded.embedding.new_zeros(steps, 1, folded.embedding.shape[1])
        for size, weights in zip(folded.sizes, folded.layers, strict=True):
            state = x.new_zeros(1, 1, size)
            x, _state = library_lstm(x, (state, state), weights, learning=False)

    return lambda _: side_by_side(read, DIRECTIONS, "cpu")


def cold(folder: Path, starts: int) -> None:
    command = [sys.executable, "-m", "ulmfit", "predict", str(folder), "--text", "Not a minute too long."]
    seconds: list[float] = []
    before = _own()
    with timed("ulmfit predict, cold", seconds):
        for _ in range(starts):
            started = time.perf_counter()
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
    print(f"  processor time of each: {(_own() - before) / starts:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=50)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--words", type=int, default=200)
    arguments = parser.parse_args()
    print(f"{hardware()}; load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as work:
        folder = make_model(Path(work))
        texts = texts_of(Vocab.load(folder / "vocab.json"), arguments.texts + WARM_UP, arguments.words)
        cold(folder, arguments.starts)
        warm(folder, texts, arguments.words)


if __name__ == "__main__":
    main()
