"""fastai's side of ``fastai_training.py``: its own learners, loaders, loops and defaults, on ids that both sides share.

Each function takes a :class:`measuring.Task` and gives figures; fp32, as fastai trains on a CPU. Nothing is pretrained (the weights have
no say in the time), so all layers learn.
"""

from __future__ import annotations

import time
from typing import Any

import imdb
import numpy as np
import pandas as pd
import torch
from fastai.text.all import (
    AWD_LSTM,
    Callback,
    CancelFitException,
    CrossEntropyLossFlat,
    DataLoaders,
    Datasets,
    L,
    Learner,
    LMDataLoader,
    Pad_Chunk,
    SortedDL,
    TensorCategory,
    TensorText,
    TextDataLoaders,
    language_model_learner,
    set_seed,
    text_classifier_learner,
)
from measuring import SEQ_LEN, Task, peak_mb

WARM_UP = 2  # steps before the clock starts


class Clock(Callback):
    """Times the steps from the ``warm_up``-th on, and ends the training after ``steps`` of them."""

    order = 100  # after every other callback, so that their work counts

    def __init__(self, warm_up: int, steps: int | None):
        self.warm_up, self.steps, self.tokens, self.documents, self.done = warm_up, steps, 0, 0, 0
        self.started = time.perf_counter()

    def after_batch(self) -> None:
        if not self.training:
            return
        self.done += 1
        if self.done == self.warm_up:
            self.started = time.perf_counter()
        elif self.done > self.warm_up:
            self.tokens += int((self.xb[0] != 1).sum())
            self.documents += len(self.xb[0])
        self.seconds = time.perf_counter() - self.started
        if self.steps and self.done == self.warm_up + self.steps:
            raise CancelFitException


def _texts(ids: np.ndarray) -> TensorText:
    return TensorText(torch.from_numpy(ids.astype(np.int64)))


def _fit(learner: Learner, clock: Clock, lr: float) -> dict[str, Any]:
    before = peak_mb()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(1, lr, cbs=clock)
    return {
        "seconds": clock.seconds,
        "tokens": clock.tokens,
        "steps": clock.done - clock.warm_up,
        "peak_mb": peak_mb(),
        "before_mb": before,
    }


def lm(task: Task) -> dict[str, Any]:
    """Training of ``language_model_learner``'s AWD-LSTM: ``LMDataLoader``, Adam, AR and TAR, dropouts as they come."""
    ids = imdb.load(task.words)
    steps = max(3, round(task.tokens / (task.batch * SEQ_LEN)))
    docs = ids.docs(ids.enough((steps + WARM_UP + 2) * task.batch * SEQ_LEN, task.seed))
    set_seed(task.seed)
    data = Datasets(docs, [[_texts]], splits=[list(range(len(docs))), [0]])
    loaders = DataLoaders(LMDataLoader(data.train, bs=task.batch, seq_len=SEQ_LEN, shuffle=True), LMDataLoader(data.valid, bs=1))
    loaders.vocab = ids.vocab
    learner = language_model_learner(loaders, AWD_LSTM, pretrained=False, drop_mult=1.0)
    return _fit(learner, Clock(WARM_UP, steps), 2e-3)


def _classifier(task: Task) -> Learner:
    ids = imdb.load(task.words)
    index = ids.sample(task.documents, task.seed)
    docs, labels = ids.docs(index), ids.labels[index]
    set_seed(task.seed)
    transforms = [[lambda i: _texts(docs[i])], [lambda i: TensorCategory(int(labels[i]))]]
    data = Datasets(list(range(len(docs))), transforms, splits=[list(range(len(docs))), list(range(len(docs)))])
    loaders = data.dataloaders(bs=task.batch, dl_type=SortedDL, before_batch=Pad_Chunk(seq_len=SEQ_LEN), shuffle=True)
    loaders.vocab = L(ids.vocab, ["neg", "pos"])
    return text_classifier_learner(loaders, AWD_LSTM, pretrained=False, n_out=2, loss_func=CrossEntropyLossFlat())


def classifier(task: Task) -> dict[str, Any]:
    """One epoch of ``text_classifier_learner``, all layers learning; after one before the clock starts, as on our side."""
    learner, steps = _classifier(task), task.documents // task.batch  # its loader drops an incomplete last batch
    warm, clock = Clock(0, steps), Clock(0, steps)
    warm.started = time.perf_counter()
    _fit(learner, warm, 1e-3)
    clock.started = time.perf_counter()
    return {**_fit(learner, clock, 1e-3), "documents": clock.documents}


def inference(task: Task) -> dict[str, Any]:
    """``Learner.get_preds`` over its sorted loader, the documents encoded beforehand; after once before the clock starts."""
    learner = _classifier(task)
    before = peak_mb()
    with learner.no_bar():
        learner.get_preds(ds_idx=1)
        started = time.perf_counter()
        probabilities, _ = learner.get_preds(ds_idx=1)
    seconds = time.perf_counter() - started
    tokens = sum(len(learner.dls.valid_ds[i][0]) for i in range(task.documents))
    return {"seconds": seconds, "documents": len(probabilities), "tokens": tokens, "peak_mb": peak_mb(), "before_mb": before}


def single(task: Task) -> dict[str, Any]:
    """``Learner.predict`` of one text of 200 words, as a user calls it: its tokenizer included."""
    table = pd.DataFrame({"text": imdb.texts_of(200, 32, task.seed + 1), "label": ["neg", "pos"] * 16})
    set_seed(task.seed)
    loaders = TextDataLoaders.from_df(table, text_col="text", label_col="label", text_vocab=imdb.load(task.words).vocab, bs=8)
    learner = text_classifier_learner(loaders, AWD_LSTM, pretrained=False)
    milliseconds = []
    with learner.no_bar():
        for text in imdb.texts_of(200, task.calls + WARM_UP, task.seed):
            started = time.perf_counter()
            learner.predict(text)
            milliseconds.append(1000 * (time.perf_counter() - started))
    return {"milliseconds": {"one direction": milliseconds[WARM_UP:]}, "peak_mb": peak_mb()}


WORKS = {"lm": lm, "classifier": classifier, "inference": inference, "single": single}
