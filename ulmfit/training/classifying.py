"""Training of a classifier on labelled documents."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit.config import ClassifierConfig
from ulmfit.errors import UserError
from ulmfit.labels.drawing import rows_to_validate
from ulmfit.models.classifier import Classifier, gradient_start
from ulmfit.prediction.logits import predict_logits
from ulmfit.shards.batches import pad, training_batches
from ulmfit.text.vocab import PAD
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.epochs import classifier_epochs
from ulmfit.training.loop import Step, Trainable
from ulmfit.training.placement import Placement
from ulmfit.training.processes.team import slices
from ulmfit.training.schedules import learning
from ulmfit.training.specs import TrainingText
from ulmfit.training.stopping import Best
from ulmfit.training.work import classifier_step, layer_flops


@dataclass(frozen=True)
class DocumentsBatch:
    """A padded batch: ``ids`` int64 [T, B], ``lengths`` int64 [B], ``targets``: see ``LabelSet``; ``free``: the first position with gradients."""

    ids: Tensor
    lengths: Tensor
    targets: Tensor
    longest: np.ndarray  # the lengths on the CPU: reading them from a GPU would wait for it
    free: int

    def part(self, columns: slice) -> tuple[Tensor, Tensor]:
        """The ids and lengths of some columns, cut to the longest of them and padded a little (see ``round_length``)."""
        return self.ids[: round_length(int(self.longest[columns].max())), columns], self.lengths[columns]


def round_length(positions: int) -> int:
    """``positions``, padded by an eighth at most, so that there are eight lengths from each power of two to the next.

    The matrix library caches half a megabyte for each new shape. These pieces lie between the pages that a step frees, so a process
    grew by gigabytes where every batch had a length of its own.
    """
    grain = 1 << max(0, positions.bit_length() - 4)
    return -(-positions // grain) * grain


class Classifying(Trainable):
    """Steps over batches of documents of like length. With ``patience`` it stops early, and the weights of the best epoch are kept.

    Where a batch is processed in parts, or by several processes, documents are pooled part by part. The head then sees all of them,
    as it normalises over the batch, and each part is read again for the gradients that come back from the head.
    """

    model: Classifier
    config: ClassifierConfig
    figures = ("valid_loss", "valid_accuracy", "valid_macro_f1")

    def __init__(self, model: Classifier, text: TrainingText, objective: Objective, place: Placement, name: str):
        if len(text.train) < 2:
            raise UserError(f"{len(text.train)} labelled documents are too few to train a classifier; give 2 or more")
        self.model, self.text, self.objective, self.place, self.name = model, text, objective, place, name
        self.config = config = objective.config
        self.best = Best(config.stop_metric, config.patience) if config.patience else None
        train = text.train
        rng = np.random.default_rng(config.seed)
        lengths = np.minimum(train.lengths, config.max_tokens or np.iinfo(np.int64).max)
        epochs = classifier_epochs(config, len(train), int(lengths.sum()))
        positions = config.batch_tokens and max(1, config.batch_tokens * 8 // 9)  # so that they are not too many with round_length's
        self.epochs = [training_batches(lengths, config.batch_size, positions, config.max_gradient_tokens, rng) for _ in range(epochs)]
        self.steps, self.tokens = sum(map(len, self.epochs)), int(lengths.sum()) * epochs
        self.sizes = model.encoder.config
        self.valid = text.valid.take(rows_to_validate(len(text.valid), config.seed, config.max_valid))
        read = np.minimum(self.valid.lengths, config.max_tokens or np.iinfo(np.int64).max)
        self.validation_work = sum(layer_flops(self.sizes)) * float(read.sum())
        steps = sum(self._step_work(lengths[index], epoch) for epoch, groups in enumerate(self.epochs) for index in groups)
        self.work, self.passes = steps + epochs * self.validation_work, epochs

    def plan(self, start: int) -> Iterator[Step]:
        for epoch, groups in enumerate(self.epochs):
            for number, index in enumerate(groups[start:], start + 1):
                batch = self._batch(index)
                tokens, work = int(batch.longest.sum()), self._step_work(batch.longest, epoch)
                yield Step(batch, epoch, tokens, ends_epoch=number == len(groups), work=work)
            start = max(0, start - len(groups))

    def _step_work(self, lengths: np.ndarray, epoch: int) -> float:
        """Of a step over documents of these lengths [B]: the text before the gradients' reach is read only forward."""
        longest = round_length(int(lengths.max()))
        free = gradient_start(int(lengths.min()), self.config.bptt, self.config.max_gradient_tokens)
        groups = learning(len(self.model.groups()), epoch, self.config.unfreeze)
        return classifier_step(self.sizes, groups, longest * len(lengths), max(0, longest - free) * len(lengths))

    def _batch(self, index: np.ndarray) -> DocumentsBatch:
        padded = pad(self.text.train, index, self.text.direction, self.config.max_tokens)
        lengths = padded.lengths.numpy()
        ids = F.pad(padded.ids, (0, 0, 0, round_length(len(padded.ids)) - len(padded.ids)), value=PAD)
        free = gradient_start(int(lengths.min()), self.config.bptt, self.config.max_gradient_tokens)
        return DocumentsBatch(ids, padded.lengths, self.objective.labels.targets_of(self.text.train.labels[index]), lengths, free)

    def forward_backward(self, batch: DocumentsBatch, parts: int) -> Tensor:
        team, encoder = self.place.team, self.model.encoder
        masks, columns = encoder.draw(len(batch.lengths)), team.columns(len(batch.lengths))
        pieces = slices(columns, parts)
        pool = lambda piece: self.model.pool(*batch.part(piece), masks.columns(piece), self.config.bptt, batch.free)
        if team.size == 1 and len(pieces) == 1:
            loss = self.objective.loss(self.model.score(pool(columns)), batch.targets)
            loss.backward()
            return loss.detach()
        with torch.no_grad():
            none = batch.ids.new_zeros(0, 3 * encoder.config.embedding, dtype=torch.float32)
            own = torch.cat([none, *map(pool, pieces)])
        pooled = team.whole(own, len(batch.lengths), dim=0).requires_grad_()
        loss = self.objective.loss(self.model.score(pooled), batch.targets) / team.size  # every process has the head's whole gradient
        loss.backward()
        assert pooled.grad is not None
        if any(parameter.requires_grad for parameter in encoder.parameters()):
            for piece in pieces:
                pool(piece).backward(pooled.grad[piece] * team.size)
        return loss.detach()

    def validate(self) -> dict[str, float]:
        valid = self.valid
        if not len(valid):
            return {}
        logits = predict_logits(self.model, valid, self.text.direction, self.config.max_tokens)
        return self.objective.metrics(logits, self.objective.labels.targets_of(valid.labels))
