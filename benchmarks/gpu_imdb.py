"""IMDB's tables on a GPU: language models of more and less text, classifiers of 50 to 25,000 labels, self-training.

    ULMFIT_DATA=... python benchmarks/gpu_imdb.py encode IDS         on any machine: the reviews as ids, one file of 30 MB
    python benchmarks/gpu_imdb.py train IDS OUT [--tiny]             on the GPU: a line of OUT/trials.jsonl and OUT/NAME.npz a trial
    ULMFIT_DATA=... python benchmarks/gpu_imdb_tables.py IDS OUT     on any machine: the tables

The second needs a CUDA build of torch and the packages that ``ulmfit`` is made of. It uses the project's own trainings with the defaults of the
preset ``small``, except for what a GPU does better: the whole softmax, more streams, and several trainings at once, each in a thread with a CUDA
stream of its own. A trial that is in OUT is not run again. ``--tiny`` is a rehearsal on a CPU, of few short reviews.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from gpu_imdb_ids import Reviews, encode
from gpu_imdb_trials import DEVICE, Arm, Draw, Facts, Trials

from ulmfit.config import LMConfig
from ulmfit.directions import DIRECTIONS
from ulmfit.presets import preset

TOGETHER = 8  # trainings at once
REGIMES = ("general+domain", "domain")
SIZES = {"few": (100, 500, 2_500), "all": (25_000,), "more": (50, 1_000, 5_000), "texts": (1_000, 4_000, 16_000, 73_500)}
TINY = {"few": (20, 40), "all": (200,), "more": (30,), "texts": (50, 390)}


class Plan:
    """Trials in the order in which they are asked for, several at once; each begins when those that it needs are done."""

    def __init__(self, trials: Trials, pool: ThreadPoolExecutor, everything: int):
        self.trials, self.pool, self.everything = trials, pool, everything
        self.log, self.lock, self.begun = trials.out / "trials.jsonl", threading.Lock(), time.monotonic()
        self.done = {json.loads(line)["trial"] for line in self.log.read_text().splitlines()} if self.log.exists() else set()
        self.started: dict[str, Future[None]] = {}

    def tuned(self, arm: Arm) -> str:
        return self._start(f"lm-{arm.name}", partial(self.trials.tune, arm), [])

    def classifier(self, arm: Arm, drawn: Draw, teaches: bool = False) -> str:
        name = f"{arm.name}-{drawn.labels}-{drawn.seed}"
        return self._start(name, partial(self.trials.classify, arm, drawn, name, teaches), [self.tuned(arm)])

    def of_labels(self, labels: Sequence[int], draws: int) -> None:
        """Both directions, tuned on all text, of so many labels."""
        for drawn in (Draw(number, seed) for number in labels for seed in range(draws)):
            for direction in DIRECTIONS:
                self.classifier(Arm("general+domain", self.everything, direction), drawn, teaches=True)

    def of_texts(self, texts: Sequence[int], draws: int) -> None:
        """500 labels and less and more text, forward; the shipped language model alone first."""
        arms = [Arm("general", 0, "forward"), *(Arm(regime, number, "forward") for number in texts for regime in REGIMES)]
        for seed in range(draws):
            for arm in arms:
                self.classifier(arm, Draw(500, seed))

    def taught(self, labels: int, draws: int) -> None:
        """Both directions, by what both say of unlabelled reviews."""
        for drawn in (Draw(labels, seed) for seed in range(draws)):
            arms = [Arm("general+domain", self.everything, direction) for direction in DIRECTIONS]
            teachers = [self.classifier(arm, drawn, teaches=True) for arm in arms]
            for arm in arms:
                name = f"{arm.name}-{labels}-{drawn.seed}-taught"
                self._start(name, partial(self.trials.teach, arm, drawn, teachers, name), teachers)

    def _start(self, name: str, work: Callable[[], Facts], needs: list[str]) -> str:
        if name not in self.started:
            before = [self.started[need] for need in needs]
            self.started[name] = self.pool.submit(self._run, name, work, before)
        return name

    def _run(self, name: str, work: Callable[[], Facts], before: list[Future[None]]) -> None:
        """``work``, unless it was done before; a failure is printed, and the others go on."""
        for needed in before:
            needed.result()
        if name in self.done:
            return
        begun = time.monotonic()
        try:
            with torch.cuda.stream(torch.cuda.Stream() if DEVICE == "cuda" else None):
                facts = work()
        except Exception:
            return print(f"{name}: {traceback.format_exc()}", flush=True)
        line = json.dumps(
            {"trial": name, "seconds": round(time.monotonic() - begun, 1), "at": round(time.monotonic() - self.begun), **facts}
        )
        with self.lock, self.log.open("a") as file:
            file.write(f"{line}\n")
            print(line, flush=True)


def train(arguments: argparse.Namespace) -> None:
    """What matters most comes first."""
    settings, sizes = preset("small"), SIZES
    if arguments.tiny:
        classifier = settings.classifier.model_copy(update={"epochs": 1})
        settings, sizes = settings.model_copy(update={"classifier": classifier, "finetune": LMConfig(epochs=1, batch_size=8)}), TINY
    arguments.out.mkdir(parents=True, exist_ok=True)
    trials = Trials(Reviews.read(arguments.ids, tiny=arguments.tiny), arguments.out, settings)
    with ThreadPoolExecutor(TOGETHER) as pool:
        plan = Plan(trials, pool, max(sizes["texts"]))
        plan.of_labels(sizes["all"], 1)
        plan.of_labels(sizes["few"], arguments.draws)
        plan.of_texts(sizes["texts"], arguments.draws)
        for labels in sizes["few"][:2]:
            plan.taught(labels, arguments.draws)
        plan.of_labels(sizes["more"], arguments.draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    encoding = commands.add_parser("encode", help="write the reviews as ids")
    encoding.add_argument("ids", type=Path)
    encoding.set_defaults(run=lambda arguments: encode(arguments.ids, preset("small")))
    training = commands.add_parser("train", help="run the trials")
    training.add_argument("ids", type=Path)
    training.add_argument("out", type=Path)
    training.add_argument("--tiny", action="store_true")
    training.add_argument("--draws", type=int, default=3)
    training.set_defaults(run=train)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
