"""Training of a language model on text."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ulmfit.config import LMConfig
from ulmfit.directions import Direction
from ulmfit.errors import UserError
from ulmfit.models.awd_lstm import State, detach
from ulmfit.models.language_model import LanguageModel, regularisation
from ulmfit.models.sampled_softmax import Sampler
from ulmfit.shards.batches import Window, Windows, lm_batches, stream_windows
from ulmfit.shards.documents import Documents
from ulmfit.training.epochs import lm_amount
from ulmfit.training.loop import Step, Trainable
from ulmfit.training.placement import Placement
from ulmfit.training.processes.team import slices
from ulmfit.training.specs import TrainingText
from ulmfit.training.stopping import Best
from ulmfit.training.work import lm_flops, lm_steps

VALIDATION_TOKENS = 50_000
VALIDATION_BATCH = 16


class LanguageModelling(Trainable):
    """Truncated back-propagation through time: the state is carried from window to window, the graph is not.

    The rate of a step is scaled by its window's length over ``bptt`` (Merity et al. 2017, sec. 4.1). With ``epochs`` "auto" the
    weights of the epoch with the lowest validation loss are kept, which may be the initial ones. UserError where there is too
    little text for one window, or for this number of processes.
    """

    model: LanguageModel
    config: LMConfig
    figures = ("valid_loss", "valid_perplexity")

    def __init__(self, model: LanguageModel, text: TrainingText, config: LMConfig, place: Placement, name: str):
        train = text.train
        epochs, streams = lm_amount(config, train.tokens)
        if config.epochs == "auto":
            self.best = Best("valid_loss", patience=None, from_start=True)
        config = config.model_copy(update={"epochs": epochs, "batch_size": streams})
        self.model, self.text, self.config, self.place, self.name = model, text, config, place, name
        self.windows = Windows.plan(train.tokens, streams, config.bptt, epochs, config.max_tokens, config.seed)
        self.steps, self.tokens = self.windows.steps, self.windows.tokens
        words, self.sizes = model.encoder.vocab_size, model.encoder.config
        self.sampled = config.sampled if config.sampled and config.sampled < words else None
        self.validation_work = lm_flops(self.sizes, words) * float(min(VALIDATION_TOKENS, text.valid.tokens))
        validations = len(self.windows.epochs) + (self.steps // config.valid_every if config.valid_every else 0) + (self.best is not None)
        self.passes = len(self.windows.epochs)
        self.work = self._work(self.tokens, self.steps) + validations * self.validation_work
        if epochs and not self.steps:
            few = f"{train.tokens} tokens are too few for {config.batch_size} parallel streams"
            raise UserError(f"{name}: {few}; give more text, or a smaller batch_size")
        if config.batch_size < place.team.size:
            raise UserError(f"{name}: {config.batch_size} parallel streams cannot be shared by {place.team.size} processes; start fewer")
        self.columns = place.team.columns(config.batch_size)
        self.hidden: State = []
        self.sampler = Sampler(words, self.sampled, place.device) if self.sampled else None

    def _work(self, positions: int, steps: int = 1) -> float:
        return lm_steps(self.sizes, self.sampled or self.model.encoder.vocab_size, positions, steps)

    def plan(self, start: int) -> Iterator[Step]:
        every = self.config.valid_every
        windows = lm_batches(self.text.train, self.windows, self.text.direction, self.config.seed, start)
        for number, window in enumerate(windows, start + 1):
            own = replace(window, ids=window.ids[:, self.columns], targets=window.targets[:, self.columns])
            scale, check = len(window.ids) / self.config.bptt, every is not None and number % every == 0
            tokens = window.ids.numel()
            yield Step(own, window.epoch, tokens, scale, ends_epoch=window.last, validate=check, work=self._work(tokens))

    def begin(self, epoch: int) -> None:
        self.hidden = self.model.encoder.initial_state(self.columns.stop - self.columns.start)

    def forward_backward(self, batch: Window, parts: int) -> Tensor:
        encoder = self.model.encoder
        masks = encoder.draw(self.config.batch_size).columns(self.columns)
        sample = self.sampler.draw(encoder.generator) if self.sampler else None
        total, after = torch.zeros((), device=batch.ids.device), []
        for part in slices(slice(0, batch.ids.shape[1]), parts):
            state = [(h[:, part], c[:, part]) for h, c in self.hidden]
            raw, dropped, state = self.model.hidden(batch.ids[:, part], state, masks.columns(part))
            share = (part.stop - part.start) / self.config.batch_size
            loss = self.model.loss(dropped, batch.targets[:, part], sample)
            ((loss + regularisation(raw, dropped, self.config.alpha, self.config.beta)) * share).backward()
            total += loss.detach() * share
            after.append(detach(state))
        self.hidden = _side_by_side(after)
        return total

    def validate(self) -> dict[str, float]:
        loss = validate(self.model, self.text.valid, self.text.direction, self.place.device)
        return {} if loss is None else {"valid_loss": loss, "valid_perplexity": _perplexity(loss)}

    def state(self) -> dict[str, Tensor]:
        whole = lambda part: self.place.team.whole(part, self.config.batch_size, dim=1)
        return {f"{name}.{layer}": whole(part) for layer, pair in enumerate(self.hidden) for name, part in zip("hc", pair, strict=True)}

    def restore(self, state: dict[str, Tensor]) -> None:
        layers = range(len(state) // 2)
        self.hidden = [(state[f"h.{layer}"][:, self.columns], state[f"c.{layer}"][:, self.columns]) for layer in layers]


def _side_by_side(parts: list[State]) -> State:
    if len(parts) == 1:
        return parts[0]
    return [(torch.cat([h for h, _ in pairs], 1), torch.cat([c for _, c in pairs], 1)) for pairs in zip(*parts, strict=True)]


def perplexity(model: LanguageModel, valid: Documents, direction: Direction, device: str) -> float | None:
    """Perplexity a token over the first tokens of ``valid``; None where there are not enough."""
    loss = validate(model.to(device), valid, direction, device)
    return None if loss is None else _perplexity(loss)


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, 50))


def validate(model: LanguageModel, valid: Documents, direction: Direction, device: str) -> float | None:
    """Mean cross-entropy in nats over the first tokens of ``valid``; None where there are not enough."""
    flat = valid.joined()[:VALIDATION_TOKENS]
    batch = min(VALIDATION_BATCH, (len(flat) - 1) // 2)
    if batch < 1:
        return None
    stream = (len(flat) - 1) // batch
    lengths = [min(70, stream - start) for start in range(0, stream, 70)]
    model.eval()
    total, state = 0.0, model.encoder.initial_state(batch)
    with torch.no_grad():
        for ids, targets in stream_windows(flat, direction, batch, lengths):
            _, dropped, state = model.hidden(ids.to(device), state)
            total += float(model.loss(dropped, targets.to(device))) * len(ids)
    return total / sum(lengths)
