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
import re
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.models.classifier import Classifier
from ulmfit.models.files import load_language_model, save_model
from ulmfit.models.language_model import LanguageModel, regularisation
from ulmfit.shards import Documents
from ulmfit.training.classifier import predict_logits, train_classifier_model
from ulmfit.training.language_model import train_language_model
from ulmfit.training.loop import EVERY, Curves

PAD, BPTT, CHUNK, REACH = 1, 70, 72, 72 * 20  # fastai's padding, our windows, its chunks, the positions it pools
LM_DROPOUTS = Dropouts(output=0.1, hidden=0.15, input=0.25, embedding=0.02, weight=0.2)
CLASSIFIER_DROPOUTS = Dropouts(output=0.4, hidden=0.3, input=0.4, embedding=0.05, weight=0.5).scaled(0.5)
HEAD_DROPOUTS = (0.2, 0.1)
WITHOUT = Dropouts(output=0.0, hidden=0.0, input=0.0, embedding=0.0, weight=0.0)
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
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() // 1_000_000
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        return int(found[1]) // 1000 if found else 0

    def seconds(self, work: Callable[[], object]) -> float:
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started


# --------------------------------------------------------------------------------------------------- text, for want of any


def text(tokens: int, words: int, seed: int = 0) -> Documents:
    """Documents of about 290 tokens, ids by Zipf's law."""
    return documents(max(4, tokens // 290 + 1), words, 2_500, seed)


def documents(number: int, words: int, longest: int, seed: int = 0) -> Documents:
    """Documents as long as reviews (log-normal, median 230), of two classes."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(np.exp(rng.normal(5.45, 0.65, number)), 10, longest).astype(int)
    ids = [np.minimum(rng.zipf(1.2, length) + 8, words - 1).astype(np.uint16) for length in lengths]
    return Documents.of(ids, rng.integers(0, 2, number).astype(np.int32))


# ------------------------------------------------------------------------------------------------------------------ ours


def our_lm(bench: Bench, words: int, dropouts: Dropouts = LM_DROPOUTS) -> LanguageModel:
    return LanguageModel(words, bench.sizes.model, dropouts, 0)


def our_classifier(bench: Bench, words: int, dropouts: Dropouts = CLASSIFIER_DROPOUTS) -> Classifier:
    return Classifier(words, 2, bench.sizes.model, dropouts, head_dropouts=HEAD_DROPOUTS)


def train_lm(bench: Bench, model: LanguageModel, train: Documents, batch: int, tokens: int, curves: Curves | None = None) -> dict[str, Any]:
    config = LMConfig(epochs=1, batch_size=batch, bptt=BPTT, max_tokens=tokens, dropouts=LM_DROPOUTS, lr=2e-3)
    return train_language_model(model, train, Documents.of([]), config, "forward", bench.device.type, curves or Curves(None), "LM")


def train_classifier(bench: Bench, model: Classifier, train: Documents, batch: int) -> dict[str, Any]:
    config = ClassifierConfig(
        epochs=1,
        batch_size=batch,
        bptt=CHUNK,
        max_gradient_tokens=REACH,
        unfreeze="full",
        lr=1e-3,
        dropouts=CLASSIFIER_DROPOUTS,
        head_dropouts=HEAD_DROPOUTS,
        calibrate=False,
    )
    return train_classifier_model(model, train, Documents.of([]), config, "forward", bench.device.type, Curves(None), "classifier")


def lm_loss(model: LanguageModel, ids_TB: Tensor, targets_TB: Tensor, dtype: torch.dtype) -> Tensor:
    """Loss and penalties of one window from a zero state."""
    with torch.autocast(ids_TB.device.type, dtype, enabled=dtype != torch.float32):
        raw, dropped, _ = model.hidden(ids_TB, model.encoder.initial_state(ids_TB.shape[1]))
        return model.loss(dropped, targets_TB) + regularisation(raw.float(), dropped.float(), 2.0, 1.0)


# -------------------------------------------------------------------------------------------------------------- the checks


def right(bench: Bench) -> None:
    """The device in fp32 and bf16 against the CPU in fp32, without dropout: loss, gradients, and a classifier's logits."""
    words = bench.sizes.words[0]
    ids = torch.from_numpy(text(40 * 16, words).run()[: 16 * 36].astype(np.int64)).view(16, 36).t().contiguous()
    expected = _gradients(our_lm(bench, words, WITHOUT), ids, torch.device("cpu"), torch.float32)
    for dtype, most in ((torch.float32, 1e-3), (torch.bfloat16, 5e-2)):
        found = _gradients(our_lm(bench, words, WITHOUT), ids, bench.device, dtype)
        for name, value in expected.items():
            bench.check(f"right: {name} in {str(dtype)[6:]}, relative to the CPU's", _relative(found[name], value), most)
    classifier, docs = our_classifier(bench, words).eval(), documents(24, words, 400)
    on_cpu = predict_logits(classifier, docs, "forward", CHUNK, None, "cpu")
    on_device = predict_logits(classifier.to(bench.device), docs, "forward", CHUNK, None, bench.device.type)
    bench.check("right: a classifier's logits, relative to the CPU's", _relative(on_device, on_cpu), 5e-2)


def _gradients(model: LanguageModel, ids: Tensor, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    ids, model = ids.to(device), model.to(device).train()
    loss = lm_loss(model, ids[:-1], ids[1:], dtype)
    loss.backward()
    gradients = {
        f"gradient of {name}": parameter.grad.float().cpu() for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    return {"loss": loss.detach().float().cpu(), **gradients}


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm().clamp(min=1e-12))


def quiet(bench: Bench) -> None:
    """A training by the library's own loop: warnings are counted, those of a wait for the GPU apart (``set_sync_debug_mode``)."""
    words, batch = bench.sizes.words[0], bench.sizes.batches[0]
    train, steps = text(80 * batch * BPTT, words), 60
    model = our_lm(bench, words)
    train_lm(bench, model, train, batch, 5 * batch * BPTT)
    with warnings.catch_warnings(record=True) as caught, _waits_told(bench):
        warnings.simplefilter("always")
        taken = train_lm(bench, model, train, batch, steps * batch * BPTT)["steps"]
    told = [str(warning.message) for warning in caught]
    waits = sum("synchroniz" in message for message in told)
    bench.check("quiet: warnings of a training", len(told) - waits, 0)
    bench.check("quiet: waits for the GPU a step", waits / taken, 2 / EVERY)
    for message in sorted(set(told))[:5]:
        print(f"  said: {message}")


class _waits_told:
    def __init__(self, bench: Bench):
        self.on = bench.device.type == "cuda"

    def __enter__(self) -> None:
        if self.on:
            torch.cuda.set_sync_debug_mode("warn")

    def __exit__(self, *_: object) -> None:
        if self.on:
            torch.cuda.set_sync_debug_mode("default")


def kept(bench: Bench) -> None:
    """A model saved from the device and loaded has the same weights to the bit."""
    words = bench.sizes.words[0]
    model = our_lm(bench, words)
    train_lm(bench, model, text(20_000, words), 8, 10 * 8 * BPTT)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), model)
        loaded = load_language_model(Path(folder))
    differing = sum(not torch.equal(tensor.cpu(), loaded.state_dict()[name]) for name, tensor in model.state_dict().items())
    bench.check("kept: tensors that differ after saving and loading", differing, 0)


# ---------------------------------------------------------------------------------------------------------------- the peer


class WeightDrop(nn.Module):
    """``nn.LSTM`` whose hidden-to-hidden matrix is set afresh, dropped, in every forward pass, as fastai does it."""

    def __init__(self, inner: int, outer: int, p: float):
        super().__init__()
        self.rnn, self.p = nn.LSTM(inner, outer, batch_first=True), p
        self.raw = nn.Parameter(self.rnn.weight_hh_l0.detach().clone())
        del self.rnn.weight_hh_l0
        self.rnn.flatten_parameters = lambda: None  # type: ignore[method-assign]

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        self.rnn.weight_hh_l0 = F.dropout(self.raw, self.p, self.training)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.rnn(x, state)


class StandIn(nn.Module):
    """An AWD-LSTM, batch first, with the state in the module; ``words`` out make it a language model, two a classifier."""

    def __init__(self, words: int, config: ModelConfig, p: Dropouts, classes: int = 0):
        super().__init__()
        self.p, self.sizes = p, [config.embedding, *[config.hidden] * (config.layers - 1), config.embedding]
        self.embedding = nn.Embedding(words, config.embedding, padding_idx=PAD)
        self.layers = nn.ModuleList([WeightDrop(inner, outer, p.weight) for inner, outer in pairwise(self.sizes)])
        self.bias = nn.Parameter(torch.zeros(words))
        wide = 3 * config.embedding
        first = (nn.BatchNorm1d(wide), nn.Dropout(HEAD_DROPOUTS[0]), nn.Linear(wide, 50, bias=False), nn.ReLU())
        self.head = nn.Sequential(*first, nn.BatchNorm1d(50), nn.Dropout(HEAD_DROPOUTS[1]), nn.Linear(50, classes)) if classes else None
        self.state: list[tuple[Tensor, Tensor]] = []

    def reset(self) -> None:
        self.state = []

    def _dropped(self, x: Tensor, p: float) -> Tensor:
        return x * x.new_empty(len(x), 1, x.shape[2]).bernoulli_(1 - p).div_(1 - p) if self.training and p else x

    def _read(self, ids: Tensor) -> Tensor:
        weight = self.embedding.weight
        if self.training and self.p.embedding:
            weight = weight * weight.new_empty(len(weight), 1).bernoulli_(1 - self.p.embedding).div_(1 - self.p.embedding)
        x = self._dropped(F.embedding(ids, weight, PAD), self.p.input)
        state = [(h[:, : len(ids)], c[:, : len(ids)]) for h, c in self.state]
        old = [F.pad(part, (0, 0, 0, len(ids) - part.shape[1])).contiguous() for pair in state for part in pair]
        pairs = list(zip(old[::2], old[1::2], strict=True)) or [tuple(x.new_zeros(2, 1, len(ids), size)) for size in self.sizes[1:]]
        self.state = []
        for number, (layer, pair) in enumerate(zip(self.layers, pairs, strict=True)):
            x, (h, c) = layer(x, pair)
            self.state.append((h.detach(), c.detach()))
            x = self._dropped(x, self.p.hidden) if number < len(self.layers) - 1 else x
        return x

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.head is None:
            raw = self._read(ids)
            dropped = self._dropped(raw, self.p.output)
            return F.linear(dropped, self.embedding.weight, self.bias), raw, dropped
        self.reset()
        outs = []
        for start in range(0, ids.shape[1], CHUNK):
            here = int((ids[:, start] != PAD).sum())
            out = self._read(ids[:here, start : start + CHUNK])
            if ids.shape[1] - start <= REACH:
                outs.append(F.pad(out, (0, 0, 0, 0, 0, len(ids) - here)))
        out = torch.cat(outs, 1)
        padded = (ids == PAD)[:, -out.shape[1] :]
        mean = out.masked_fill(padded[..., None], 0).sum(1) / (~padded).sum(1)[:, None]
        most = out.masked_fill(padded[..., None], -torch.inf).amax(1)
        last = out[torch.arange(len(out)), out.shape[1] - 1 - padded[:, -CHUNK:].sum(1)]
        return self.head(torch.cat([last, most, mean], 1)), out, out


def peer_name() -> str:
    try:
        import fastai.text.models.core  # noqa: F401
    except ImportError:
        return "stand-in"
    return "fastai"


def peer(bench: Bench, words: int, classes: int = 0) -> nn.Module:
    """The peer's language model, or its classifier."""
    sizes = bench.sizes.model
    if peer_name() == "stand-in":
        return StandIn(words, sizes, CLASSIFIER_DROPOUTS if classes else LM_DROPOUTS, classes).to(bench.device)
    from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config
    from fastai.text.models.core import get_language_model, get_text_classifier

    size = {"emb_sz": sizes.embedding, "n_hid": sizes.hidden, "n_layers": sizes.layers}
    if classes:
        model = get_text_classifier(
            AWD_LSTM, words, classes, seq_len=CHUNK, config=awd_lstm_clas_config | size, drop_mult=0.5, max_len=REACH
        )
    else:
        model = get_language_model(AWD_LSTM, words, config=awd_lstm_lm_config | size)
    return model.to(bench.device)


class Mixed:
    """Training steps in mixed precision as fastai's callback makes them: fp16 autocast and gradient scaling (on a CPU bf16 and none)."""

    def __init__(self, bench: Bench, model: nn.Module):
        self.device, self.model = bench.device, model.train()
        self.half = torch.float16 if bench.device.type == "cuda" else torch.bfloat16
        self.optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        self.scaler = torch.amp.GradScaler(bench.device.type, enabled=bench.device.type == "cuda")

    def step(self, ids_BT: Tensor, targets: Tensor, penalised: bool) -> None:
        with torch.autocast(self.device.type, self.half):
            logits, raw, dropped = self.model(ids_BT)
            loss = F.cross_entropy(logits.float().flatten(0, -2), targets.flatten())
            if penalised:
                loss = loss + 2 * dropped.float().pow(2).mean() + (raw[:, 1:] - raw[:, :-1]).float().pow(2).mean()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()


def padded(docs: Documents, index: np.ndarray) -> Tensor:
    """[B, T], longest first: padded by whole chunks before and the rest behind, as fastai does it."""
    longest = int(docs.lengths[index].max())
    ids = torch.full((len(index), longest), PAD)
    for row, i in enumerate(index.tolist()):
        start = (longest - int(docs.lengths[i])) // CHUNK * CHUNK
        ids[row, start : start + int(docs.lengths[i])] = torch.from_numpy(docs.doc(i).astype(np.int64))
    return ids


def by_length(docs: Documents, batch: int) -> list[np.ndarray]:
    order = np.argsort(-docs.lengths, kind="stable")
    return [order[start : start + batch] for start in range(0, len(order), batch)]


# ------------------------------------------------------------------------------------------------------------- the speeds


def matrix_rate(bench: Bench) -> float:
    """FLOP/s of a bf16 product of square matrices, median of ten."""
    side = bench.sizes.product
    a, b = (torch.randn(side, side, device=bench.device).bfloat16() for _ in range(2))
    return 2 * side**3 / statistics.median([bench.seconds(lambda: torch.mm(a, b)) for _ in range(13)][3:])


def flops_per_token(config: ModelConfig, words: int) -> int:
    sizes = [config.embedding, *[config.hidden] * (config.layers - 1), config.embedding]
    return 6 * (sum(4 * outer * (inner + outer) for inner, outer in pairwise(sizes)) + config.embedding * words)


def fast(bench: Bench) -> None:
    """Training of the language model."""
    for words in bench.sizes.words:
        train = text(bench.sizes.tokens * 5 // 4, words)
        for batch in bench.sizes.batches:
            _fast_ours(bench, train, words, batch)
            _fast_peer(bench, train, words, batch)


def _fast_ours(bench: Bench, train: Documents, words: int, batch: int) -> None:
    bench.fresh()
    model, record = our_lm(bench, words), {}
    train_lm(bench, model, train, batch, 5 * batch * BPTT)
    seconds = bench.seconds(lambda: record.update(train_lm(bench, model, train, batch, bench.sizes.tokens)))
    share = record["trained_tokens"] / seconds * flops_per_token(bench.sizes.model, words) / bench.rate
    bench.row("LM training", "ours", record["trained_tokens"], "tokens", seconds, words=words, batch=batch, share=round(share, 3))


def _fast_peer(bench: Bench, train: Documents, words: int, batch: int) -> None:
    bench.fresh()
    steps = max(5, bench.sizes.tokens // (batch * BPTT))
    flat = torch.from_numpy(train.run()[: batch * (BPTT * steps // 2 + 1)].astype(np.int64)).view(batch, -1).to(bench.device)
    mixed = Mixed(bench, peer(bench, words))
    windows = [flat[:, start : start + BPTT + 1] for start in range(0, flat.shape[1] - BPTT, BPTT)]
    for window in windows[:3]:
        mixed.step(window[:, :-1], window[:, 1:], True)
    some = [windows[number % len(windows)] for number in range(max(3, steps // 2))]
    seconds = bench.seconds(lambda: [mixed.step(window[:, :-1], window[:, 1:], True) for window in some])
    tokens = sum(window[:, 1:].numel() for window in some)
    share = round(tokens / seconds * flops_per_token(bench.sizes.model, words) / bench.rate, 3)
    bench.row("LM training", peer_name(), tokens, "tokens", seconds, words=words, batch=batch, share=share)


def classify(bench: Bench) -> None:
    """Training of the classifier, all layers, one epoch."""
    words = bench.sizes.words[0]
    docs = documents(bench.sizes.documents, words, bench.sizes.longest)
    labels = torch.from_numpy(docs.labels.astype(np.int64)).to(bench.device)
    for batch in bench.sizes.classifier_batches:
        bench.fresh()
        model = our_classifier(bench, words)
        train_classifier(bench, model, docs.take(np.arange(min(len(docs), 2 * batch))), batch)
        seconds = bench.seconds(lambda model=model, batch=batch: train_classifier(bench, model, docs, batch))
        bench.row("classifier training", "ours", len(docs), "documents", seconds, words=words, batch=batch)
        bench.fresh()
        mixed = Mixed(bench, peer(bench, words, 2))
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
    model = our_classifier(bench, words).to(bench.device)
    once = lambda: predict_logits(model, docs, "forward", CHUNK, None, bench.device.type)
    bench.fresh()
    once()
    bench.row("prediction", "ours", len(docs), "documents", bench.seconds(once), words=words)
    bench.fresh()
    theirs = peer(bench, words, 2).eval()
    half = Mixed(bench, theirs).half
    theirs.eval()

    def all_of_them() -> None:
        with torch.no_grad(), torch.autocast(bench.device.type, half):
            for index in by_length(docs, 64):
                theirs(padded(docs, index).to(bench.device))[0].float().cpu()

    all_of_them()
    bench.row("prediction", peer_name(), len(docs), "documents", bench.seconds(all_of_them), words=words, batch=64)


# ------------------------------------------------------------------------------------------------------------------- main


def ratios(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Ours to the peer's, for each pair of the same sizes, and for each side's best."""
    for what, words in sorted({(row["what"], row["words"]) for row in rows}):
        here = [row for row in rows if (row["what"], row["words"]) == (what, words)]
        for batch in [*sorted({row.get("batch") for row in here if row.get("batch")}), "best"]:
            of = lambda mine: max(
                (row["per_second"] for row in here if (row["side"] == "ours") is mine and batch in (row.get("batch"), "best")), default=0.0
            )
            if of(True) and of(False):
                yield {"what": what, "words": words, "batch": batch, "ratio": of(True) / of(False)}


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
