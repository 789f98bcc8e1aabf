"""Everything that wants a GPU, in one script: is it right there, does it wait for nothing, how fast is it beside fastai's model code?

    python benchmarks/gpu.py [--out gpu.json] [--only right fast ...]        python benchmarks/gpu.py --dry-run

It needs a CUDA build of torch and the packages that ``ulmfit`` is made of (numpy, pydantic, pyarrow, pyyaml, rich, safetensors,
scikit-learn), downloads nothing and makes its own text: ids by Zipf's law in documents as long as reviews. ``--dry-run`` does the same on
the CPU with tiny sizes, in less than a minute; its figures mean nothing, its checks do.

- right: losses, gradients and logits against the CPU in fp32, in fp32 and in bf16;
- quiet: a training gives no warning (cuDNN's of weights in pieces is one) and waits for the GPU only when it looks at the loss;
- kept: a saved model and a resumed training go on as if they had not stopped;
- fast, classify, predict: tokens/s and documents/s in mixed precision beside fastai's, the share of the card's bf16 matrix rate, peak memory.

The peer is fastai's own ``get_language_model`` and ``get_text_classifier`` where fastai can be imported (PYTHONPATH=.fastai), else the
stand-in below, which drops weights the same way: a fresh ``weight_hh`` is set on ``nn.LSTM`` in every forward pass. Its loop is plain: fp16
autocast, gradient scaling, ``torch.optim.Adam``, which is quicker than fastai's own.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))

from gpu_ours import BPTT, documents, our_classifier, our_lm, our_logits, text, train_classifier, train_lm
from gpu_peer import Mixed, by_length, half, padded, peer, peer_name
from measuring import flops_per_token, peak_mb

from ulmfit.config import ModelConfig
from ulmfit.models.awd_lstm import LSTMLayer, Masks
from ulmfit.models.language_model import LanguageModel, regularisation
from ulmfit.shards.documents import Documents
from ulmfit.training.loop import EVERY
from ulmfit.training.specs import TrainingRecord

NAMES = ("right", "quiet", "kept", "fast", "classify", "predict")


@dataclass(frozen=True)
class Sizes:
    """How large everything is. ``tokens``: of language-model training, a measurement; ``product``: side of the matrices."""

    model: ModelConfig
    words: tuple[int, ...]
    batches: tuple[int, ...]
    tokens: int
    documents: int
    longest: int
    classifier_batches: tuple[int, ...]
    product: int


FULL = Sizes(ModelConfig(), (27_000, 60_000), (64, 128, 256, 512), 2_000_000, 4_096, 2_500, (64, 128, 256), 8_192)
TINY = Sizes(ModelConfig(embedding=24, hidden=40, layers=3), (500,), (8, 16), 30_000, 48, 300, (16,), 256)


@dataclass
class Bench:
    """Where it runs, and what was found."""

    device: torch.device
    sizes: Sizes
    checks: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    rate: float = 0.0

    def check(self, name: str, value: float, most: float) -> None:
        """Note whether ``value`` is ``most`` at most."""
        self.checks.append({"check": name, "value": value, "most": most, "passed": bool(value <= most)})
        print(f"{'passed' if value <= most else 'FAILED'}: {name}: {value:.3g} (at most {most:.3g})", flush=True)

    def fail(self, name: str, error: Exception) -> None:
        self.checks.append({"check": name, "passed": False, "error": "".join(traceback.format_exception(error))})
        print(f"FAILED: {name}: {self.checks[-1]['error']}", flush=True)

    def row(self, what: str, side: str, amount: int, unit: str, seconds: float, **facts: Any) -> None:
        """Note a speed, and the peak memory since ``fresh``."""
        self.rows.append({"what": what, "side": side, "per_second": amount / seconds, "unit": unit, "peak_mb": self.peak_mb(), **facts})
        told = " ".join(f"{name} {value}" for name, value in facts.items())
        print(f"{what}: {side}, {told}: {amount / seconds:,.0f} {unit}/s, peak {self.rows[-1]['peak_mb']:,} MB", flush=True)

    def fresh(self) -> None:
        """Start anew with memory."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_mb(self) -> int:
        """Of the card's memory, what tensors took at most since ``fresh``; on a CPU the process's VmHWM."""
        return torch.cuda.max_memory_allocated() // 1_000_000 if self.device.type == "cuda" else peak_mb()

    def seconds(self, work: Callable[[], object]) -> float:
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started


# -------------------------------------------------------------------------------------------------------------- the checks


def right(bench: Bench) -> None:
    """The device in fp32 and bf16 against the CPU in fp32, under the same dropout masks: loss, gradients, and a classifier's logits."""
    words = bench.sizes.words[0]
    model = our_lm(bench.sizes.model, words).train()
    ids, masks = torch.from_numpy(text(16 * 36, words).joined()[: 16 * 36].astype(np.int64)).view(16, 36).t(), model.encoder.draw(16)
    expected = _gradients(model, ids, masks, torch.float32)
    classifier, docs = our_classifier(bench.sizes.model, words), documents(24, words, 400)
    on_cpu = our_logits(classifier, docs, torch.float32)
    model, classifier = model.to(bench.device), classifier.to(bench.device)
    with _exact_fp32():
        for products, most in ((torch.float32, 1e-3), (torch.bfloat16, 5e-2)):
            name = f"in {str(products)[6:]}, off the CPU's by (relative)"
            found = _gradients(model, ids.to(bench.device), _moved(masks, bench.device), products)
            bench.check(f"right: loss {name}", _off(found.pop("loss"), expected["loss"]), most)
            bench.check(f"right: worst gradient {name}", max(_off(gradient, expected[part]) for part, gradient in found.items()), most)
            bench.check(f"right: a classifier's logits {name}", _off(our_logits(classifier, docs, products), on_cpu), most)

        expected_of_layer = _layer(torch.device("cpu"), torch.float32)
        for products, most in ((torch.float32, 1e-3), (torch.bfloat16, 2e-2)):
            worst = max(map(_off, _layer(bench.device, products), expected_of_layer))
            bench.check(
                f"right: worst gradient of a layer of 1152 in {str(products)[6:]}, off the CPU's in fp32 by (relative)", worst, most
            )


def _layer(device: torch.device, products: torch.dtype) -> list[Tensor]:
    """Gradients of one layer as wide as the real model's, whatever the sizes: libraries choose their kernels by width, and oneDNN's
    for bf16 on AMX is wrong from a width of 1024 on where that is a multiple of 32 (PyTorch 2.13)."""
    generator = torch.Generator().manual_seed(0)
    layer = LSTMLayer(64, 1152, generator)
    x, upstream = torch.randn(6, 16, 64, generator=generator), torch.randn(6, 16, 1152, generator=generator)
    layer, x = layer.to(device), x.to(device).requires_grad_()
    out, _ = layer(x.to(products), (x.new_zeros(1, 16, 1152), x.new_zeros(1, 16, 1152)))
    out.backward(upstream.to(device, products))
    return [tensor.grad.cpu() for tensor in (x, *layer.parameters()) if tensor.grad is not None]


def _gradients(model: LanguageModel, ids_TB: Tensor, masks: Masks, products: torch.dtype) -> dict[str, Tensor]:
    """Of the loss and penalties of one window from a zero state, by parameter, on the CPU; and ``loss``."""
    model.encoder.products = products
    model.zero_grad()
    raw, dropped, _ = model.hidden(ids_TB[:-1], model.encoder.initial_state(ids_TB.shape[1]), masks)
    loss = model.loss(dropped, ids_TB[1:]) + regularisation(raw, dropped, 2.0, 1.0)
    loss.backward()
    gradients = {name: parameter.grad.clone().cpu() for name, parameter in model.named_parameters() if parameter.grad is not None}
    return {"loss": loss.detach().cpu(), **gradients}


def _moved(masks: Masks, device: torch.device) -> Masks:
    move = lambda value: tuple(map(move, value)) if isinstance(value, tuple) else None if value is None else value.to(device)
    return replace(masks, **{part.name: move(getattr(masks, part.name)) for part in fields(masks)})


def _off(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference over the expected norm."""
    return float((found.float() - expected.float()).norm() / expected.float().norm().clamp(min=1e-12))


@contextmanager
def _exact_fp32() -> Iterator[None]:
    """Without TF32, which rounds fp32 products to ten bits."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def quiet(bench: Bench) -> None:
    """Trainings by the library's own loops: warnings are counted, those of a wait for the GPU apart (``set_sync_debug_mode``)."""
    words, batch = bench.sizes.words[0], bench.sizes.batches[0]
    lm, classifier, train = our_lm(bench.sizes.model, words), our_classifier(bench.sizes.model, words), text(80 * batch * BPTT, words)
    some = train.take(np.arange(min(len(train), 30 * 8)))
    trainings = {
        "LM": lambda tokens: train_lm(bench.device, lm, train, batch, tokens),
        "classifier": lambda tokens: train_classifier(bench.device, classifier, some, 8),
    }
    for name, training in trainings.items():
        training(5 * batch * BPTT)
        with warnings.catch_warnings(record=True) as caught, _waits_told(bench.device):
            warnings.simplefilter("always")
            steps = training(60 * batch * BPTT).steps
        told = [str(warning.message) for warning in caught]
        waits = sum("synchroniz" in message for message in told)
        bench.check(f"quiet: warnings of a training, {name}", len(told) - waits, 0)
        bench.check(f"quiet: waits for the GPU a step, {name}", waits / steps, 3 / EVERY)  # two a look, and a few at the beginning
        for warning in {(str(one.message), one.filename, one.lineno): one for one in caught}.values():
            print(f"  {warning.filename}:{warning.lineno}: {str(warning.message)[:150]}")


@contextmanager
def _waits_told(device: torch.device) -> Iterator[None]:
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


class Stopped(Exception):
    pass


def kept(bench: Bench) -> None:
    """A training that stops half-way and resumes ends with the weights of one that does not: on a CPU to the bit, on a GPU as near as
    two uninterrupted trainings come to each other, for its sums are not taken in the same order each time."""
    words, batch, steps = bench.sizes.words[0], bench.sizes.batches[0], 40
    train = text(2 * steps * batch * BPTT, words)

    def trained(**where: Any) -> Tensor:
        model = our_lm(bench.sizes.model, words)
        train_lm(bench.device, model, train, batch, steps * batch * BPTT, **where)
        return torch.cat([parameter.detach().flatten().cpu() for parameter in model.parameters()])

    def stop(step: int, values: Any) -> None:
        if step >= steps // 2:
            raise Stopped

    once, again = trained(), trained()
    with tempfile.TemporaryDirectory() as folder:
        try:
            trained(checkpoints=Path(folder), checkpoint_seconds=0.0, observe=stop)
            bench.check("kept: trainings that did not stop when told to", 1, 0)
        except Stopped:
            pass
        resumed = trained(checkpoints=Path(folder))
    bench.check("kept: weights of a resumed training, relative difference", _off(resumed, once), 3 * _off(again, once))


# ------------------------------------------------------------------------------------------------------------- the speeds


def matrix_rate(bench: Bench) -> float:
    """FLOP/s of a bf16 product of square matrices, median of ten."""
    side = bench.sizes.product
    a, b = (torch.randn(side, side, device=bench.device).bfloat16() for _ in range(2))
    return 2 * side**3 / statistics.median([bench.seconds(lambda: torch.mm(a, b)) for _ in range(13)][3:])


def fast(bench: Bench) -> None:
    """Training of the language model."""
    for words in bench.sizes.words:
        train = text(bench.sizes.tokens * 5 // 4, words)
        for batch in bench.sizes.batches:
            _fast_ours(bench, train, words, batch)
            _fast_peer(bench, train, words, batch)


def _fast_ours(bench: Bench, train: Documents, words: int, batch: int) -> None:
    bench.fresh()
    model, records = our_lm(bench.sizes.model, words), list[TrainingRecord]()
    train_lm(bench.device, model, train, batch, 5 * batch * BPTT)
    seconds = bench.seconds(lambda: records.append(train_lm(bench.device, model, train, batch, bench.sizes.tokens)))
    record = records[-1]
    share = record.trained_tokens / seconds * flops_per_token(words, bench.sizes.model.model_dump()) / bench.rate
    bench.row("LM training", "ours", record.trained_tokens, "tokens", seconds, words=words, batch=batch, share=round(share, 3))


def _fast_peer(bench: Bench, train: Documents, words: int, batch: int) -> None:
    bench.fresh()
    steps = max(5, bench.sizes.tokens // (batch * BPTT))
    flat = torch.from_numpy(train.joined()[: batch * (BPTT * steps // 2 + 1)].astype(np.int64)).view(batch, -1).to(bench.device)
    mixed = Mixed(peer(bench.sizes.model, words, bench.device), bench.device)
    windows = [flat[:, start : start + BPTT + 1] for start in range(0, flat.shape[1] - BPTT, BPTT)]
    for window in windows[:3]:
        mixed.step(window[:, :-1], window[:, 1:], True)
    some = [windows[number % len(windows)] for number in range(max(3, steps // 2))]
    seconds = bench.seconds(lambda: [mixed.step(window[:, :-1], window[:, 1:], True) for window in some])
    tokens = sum(window[:, 1:].numel() for window in some)
    share = round(tokens / seconds * flops_per_token(words, bench.sizes.model.model_dump()) / bench.rate, 3)
    bench.row("LM training", peer_name(), tokens, "tokens", seconds, words=words, batch=batch, share=share)


def classify(bench: Bench) -> None:
    """Training of the classifier, all layers, one epoch."""
    words = bench.sizes.words[0]
    docs = documents(bench.sizes.documents, words, bench.sizes.longest)
    labels = torch.from_numpy(docs.labels.astype(np.int64)).to(bench.device)
    for batch in bench.sizes.classifier_batches:
        bench.fresh()
        model = our_classifier(bench.sizes.model, words)
        train_classifier(bench.device, model, docs.take(np.arange(min(len(docs), 2 * batch))), batch)
        seconds = bench.seconds(lambda model=model, batch=batch: train_classifier(bench.device, model, docs, batch))
        bench.row("classifier training", "ours", len(docs), "documents", seconds, words=words, batch=batch)
        bench.fresh()
        mixed = Mixed(peer(bench.sizes.model, words, bench.device, 2), bench.device)
        ready = [
            (padded(docs, index).to(bench.device), labels[torch.from_numpy(index).to(bench.device)]) for index in by_length(docs, batch)
        ]
        mixed.step(*ready[-1], False)
        seconds = bench.seconds(lambda mixed=mixed, ready=ready: [mixed.step(*one, False) for one in ready])
        bench.row("classifier training", peer_name(), len(docs), "documents", seconds, words=words, batch=batch)


def predict(bench: Bench) -> None:
    """Prediction from ids."""
    words = bench.sizes.words[0]
    docs = documents(bench.sizes.documents, words, bench.sizes.longest, seed=1)
    model = our_classifier(bench.sizes.model, words).to(bench.device)
    once = lambda: our_logits(model, docs, torch.bfloat16)
    bench.fresh()
    once()
    bench.row("prediction", "ours", len(docs), "documents", bench.seconds(once), words=words)
    bench.fresh()
    theirs = peer(bench.sizes.model, words, bench.device, 2).eval()

    def all_of_them() -> None:
        with torch.no_grad(), torch.autocast(bench.device.type, half(bench.device)):
            for index in by_length(docs, 64):
                theirs(padded(docs, index).to(bench.device))[0].float().cpu()

    all_of_them()
    bench.row("prediction", peer_name(), len(docs), "documents", bench.seconds(all_of_them), words=words, batch=64)


# ------------------------------------------------------------------------------------------------------------------- main


def ratios(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Ours to the peer's, for each pair of the same sizes, and for each side's best."""
    for what, words in sorted({(row["what"], row["words"]) for row in rows}):
        here = [row for row in rows if (row["what"], row["words"]) == (what, words)]
        for batch in [*sorted({row["batch"] for row in here if "batch" in row}), "best"]:
            ours, theirs = (_best(here, ours, batch) for ours in (True, False))
            if ours and theirs:
                yield {"what": what, "words": words, "batch": batch, "ratio": ours / theirs}


def _best(rows: list[dict[str, Any]], ours: bool, batch: int | str) -> float:
    """The highest speed of a side, at a batch size or at any; 0 where there is none."""
    fitting = [row for row in rows if (row["side"] == "ours") is ours and batch in ("best", row.get("batch"))]
    return max((row["per_second"] for row in fitting), default=0.0)


def hardware(bench: Bench) -> str:
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else f"{platform.machine()}, dry run"
    return f"{name}, PyTorch {torch.__version__}, Python {platform.python_version()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, with tiny sizes")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    arguments = parser.parse_args()
    if not (arguments.dry_run or torch.cuda.is_available()):
        print("torch finds no CUDA device here: run this where there is one, or with --dry-run", file=sys.stderr)
        return 2
    bench = Bench(torch.device("cpu" if arguments.dry_run else "cuda"), TINY if arguments.dry_run else FULL)
    bench.rate = matrix_rate(bench)
    print(f"{hardware(bench)}; bf16 matrix products {bench.rate / 1e12:.2f} TFLOP/s; the peer is {peer_name()}", flush=True)
    for name in arguments.only:
        try:
            globals()[name](bench)
        except Exception as error:  # the rest is still worth the time on the machine
            bench.fail(name, error)
    found = list(ratios(bench.rows))
    for one in found:
        print(f"ratio, {one['what']}, {one['words']:,} words, batch {one['batch']}: {one['ratio']:.2f}")
    if arguments.out:
        facts = {"hardware": hardware(bench), "bf16_flops": bench.rate, "peer": peer_name()}
        arguments.out.write_text(json.dumps({**facts, "checks": bench.checks, "rows": bench.rows, "ratios": found}, indent=1) + "\n")
    return int(not all(check["passed"] for check in bench.checks))


if __name__ == "__main__":
    sys.exit(main())
