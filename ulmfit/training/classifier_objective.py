"""A classifier's loss, and its figures on validation documents."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ulmfit.config import ClassifierConfig
from ulmfit.evaluation.metrics import hits_and_seen, macro_f1
from ulmfit.labels.label_set import THRESHOLD, LabelSet, probabilities


class Objective:
    """The loss of a task with its class weights and label smoothing.

    multi-class: cross-entropy; smoothed, the target is ``1 - s`` on the class and ``s / L`` spread over all (Szegedy et al. 2016,
    sec. 7). Balanced, a document of class c weighs ``N / (L * N_c)``, which is 1 on average over the N training documents.

    multi-label: binary cross-entropy, the mean over the labels; smoothed, the targets are ``s / 2`` and ``1 - s / 2``. Balanced,
    the documents with a label weigh as much together as those without it: each ``negatives / positives``.
    """

    def __init__(self, config: ClassifierConfig, labels: LabelSet, train_codes: NDArray[np.integer]):
        """``train_codes`` int [N]: the label strings of the training documents, from which the weights are counted."""
        self.config = config
        self.labels = labels
        self._weights = _weights(labels, train_codes) if config.class_weights == "balanced" else None

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the documents, a scalar in fp32. ``logits`` [B, L]; ``targets`` as ``LabelSet.targets_of`` has them.

        The sum is divided by B whatever the documents' weights, so the gradient of a batch is the mean of those of its halves.
        """
        weights, smoothing = self._on(logits), self.config.label_smoothing
        if self.labels.task == "multi-label":
            smoothed = targets * (1 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(logits.float(), smoothed, pos_weight=weights)
        losses = F.cross_entropy(logits.float(), targets, label_smoothing=smoothing, reduction="none")
        return (losses if weights is None else losses * weights[targets]).mean()

    def metrics(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """``valid_loss``, ``valid_accuracy`` and ``valid_macro_f1`` of documents [N]; nothing where there are none.

        The loss has no weights and no smoothing, so that trainings that differ in these can be compared. With several labels, a
        document is right if all its labels are, and a label is predicted from probability 0.5 on.
        """
        if not len(logits):
            return {}
        logits = logits.float()
        if self.labels.task == "multi-label":
            value = F.binary_cross_entropy_with_logits(logits, targets)
            decided, truth = probabilities(logits, self.labels.task) >= THRESHOLD, targets > 0
        else:
            value = F.cross_entropy(logits, targets)
            decided = F.one_hot(logits.argmax(1), len(self.labels)).bool()
            truth = F.one_hot(targets, len(self.labels)).bool()
        accuracy = float((decided == truth).all(1).double().mean())
        f1 = macro_f1(*hits_and_seen(truth.cpu().numpy(), decided.cpu().numpy()))
        return {"valid_loss": float(value), "valid_accuracy": accuracy, "valid_macro_f1": f1}

    def _on(self, logits: Tensor) -> Tensor | None:
        """The weights float32 [L] where the logits are; they are moved once."""
        if self._weights is not None and self._weights.device != logits.device:
            self._weights = self._weights.to(logits.device)
        return self._weights


def _weights(labels: LabelSet, codes: NDArray[np.integer]) -> Tensor:
    """float32 [L]: of a document by its class, or of a label's positives. 1 for what the documents do not show."""
    if labels.table is None:
        counts = np.bincount(codes, minlength=len(labels)).astype(np.float64)
        weights = np.divide(len(codes) / len(labels), counts, out=np.ones_like(counts), where=counts > 0)
    else:
        strings = np.bincount(codes, minlength=len(labels.table))
        positives = (strings @ labels.table).astype(np.float64)
        negatives = len(codes) - positives
        weights = np.divide(negatives, positives, out=np.ones_like(positives), where=(positives > 0) & (negatives > 0))
    return torch.from_numpy(weights.astype(np.float32))
