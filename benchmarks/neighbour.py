"""Training and prediction beside a busy neighbour: do they lose more than the neighbour's share of the cores?

    python benchmarks/neighbour.py [--seconds 10] [--rounds 3]

Both directions at the sizes of the preset ``small``: fine-tuning steps, and predictions of 256 documents of 200 tokens. In turn alone and
beside a process of another session that keeps one core busy. Work is counted by wall time, and beside it the processor time that we got: what
is lost beyond that share is lost by waiting for each other.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from lm_speed import SETTINGS, SIZES, WORDS, Work, training_step
from measuring import hardware

from ulmfit.compute.cores import side_by_side
from ulmfit.compute.pages import keep_pages
from ulmfit.compute.precision import products
from ulmfit.directions import DIRECTIONS
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.prediction.logits import FoldedClassifier, predict_logits
from ulmfit.shards.documents import Documents

BUSY = "while True: pass"


def prediction_step(dtype: torch.dtype) -> Work:
    """Logits of documents of 200 tokens."""
    model = FoldedClassifier(Classifier(WORDS, 2, SIZES, SETTINGS.classifier.dropouts, HeadConfig()), dtype)
    documents = Documents.of(list(np.random.default_rng(0).integers(9, WORDS, (256, 200)).astype(np.uint16)))

    def step() -> None:
        predict_logits(model, documents, "forward", None)

    return step


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) if busy else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def rates(works: list[Work], seconds: float) -> tuple[float, float]:
    """Rounds a second by wall time, and processor seconds a second."""
    started, processor, rounds = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        side_by_side(lambda work: work(), works, "cpu")
        rounds += 1
    wall = time.perf_counter() - started
    return rounds / wall, (time.process_time() - processor) / wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(hardware())
    keep_pages()
    dtype = products("auto", "cpu", SIZES.hidden)
    kinds: dict[str, Callable[[torch.dtype], Work]] = {"training": training_step, "prediction": prediction_step}
    for name, kind in kinds.items():
        works = [kind(dtype) for _ in DIRECTIONS]
        rates(works, 3)  # to warm up
        kept, got = [], []
        for _ in range(arguments.rounds):
            both = []
            for busy in (False, True):
                with neighbour(busy):
                    both.append(rates(works, arguments.seconds))
            (alone, cores), (beside, left) = both
            kept.append(beside / alone)
            got.append(left / cores)
        print(
            f"{name}: {statistics.median(kept):.2f} of the speed is kept, with {statistics.median(got):.2f} of the processor time; {dtype}"
        )


if __name__ == "__main__":
    main()
