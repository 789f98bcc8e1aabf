"""The peer of ``gpu.py``: fastai's model code where it can be imported, else a stand-in that drops weights as fastai does; and its training steps."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.shards.documents import Documents

PAD, CHUNK, REACH = 1, 72, 72 * 20  # fastai's padding, the chunks that it reads a document in, the last positions that it pools
LM_DROPOUTS = Dropouts(output=0.1, hidden=0.15, input=0.25, embedding=0.02, weight=0.2)
CLASSIFIER_DROPOUTS = Dropouts(output=0.4, hidden=0.3, input=0.4, embedding=0.05, weight=0.5).scaled(0.5)  # its learner's drop_mult
HEAD_DROPOUTS = (0.2, 0.1)


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


def peer(sizes: ModelConfig, words: int, device: torch.device, classes: int = 0) -> nn.Module:
    """The peer's language model, or its classifier."""
    if peer_name() == "stand-in":
        return StandIn(words, sizes, CLASSIFIER_DROPOUTS if classes else LM_DROPOUTS, classes).to(device)
    from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config
    from fastai.text.models.core import get_language_model, get_text_classifier

    size = {"emb_sz": sizes.embedding, "n_hid": sizes.hidden, "n_layers": sizes.layers}
    if classes:
        model = get_text_classifier(
            AWD_LSTM, words, classes, seq_len=CHUNK, config=awd_lstm_clas_config | size, drop_mult=0.5, max_len=REACH
        )
    else:
        model = get_language_model(AWD_LSTM, words, config=awd_lstm_lm_config | size)
    return model.to(device)


def half(device: torch.device) -> torch.dtype:
    """The type of its mixed precision."""
    return torch.float16 if device.type == "cuda" else torch.bfloat16


class Mixed:
    """Training steps in mixed precision as fastai's callback makes them: fp16 autocast and gradient scaling (on a CPU bf16 and none)."""

    def __init__(self, model: nn.Module, device: torch.device):
        self.device, self.model, self.half = device, model.train(), half(device)
        self.optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        self.scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")

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
