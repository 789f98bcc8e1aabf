"""Early stopping on a validation figure; the best weights are kept."""

from collections.abc import Mapping

from torch import Tensor, nn

from ulmfit.store.json import Facts
from ulmfit.training.checkpoint import Checkpoints


class BestFacts(Facts):
    """The best epoch in a checkpoint: its figures and step, and how many epochs have passed ``since``."""

    figures: dict[str, float]
    step: int
    since: int


class Best:
    """The best epoch so far by ``metric`` (less is better where it is a loss), and its weights.

    ``enough`` turns true after ``patience`` epochs without a better one, and never where that is None. ``from_start``: the weights
    that training begins with may be the best.
    """

    def __init__(self, metric: str, patience: int | None, from_start: bool = False):
        self.metric, self.patience, self.from_start = metric, patience, from_start
        self.figures: dict[str, float] = {}
        self.weights: dict[str, Tensor] | None = None
        self.step, self._since = 0, 0

    @property
    def enough(self) -> bool:
        """Whether to stop."""
        return self.patience is not None and self._since >= self.patience

    def see(self, figures: Mapping[str, float], model: nn.Module, step: int, checkpoints: Checkpoints | None) -> None:
        """Take in an epoch's figures. Where it is the best so far, its weights are copied, and written to disk too."""
        if self.metric not in figures:  # nothing to validate on
            return
        if self.figures and not self._better(figures[self.metric], self.figures[self.metric]):
            self._since += 1
            return
        self.figures, self.step, self._since = dict(figures), step, 0
        self.weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        if checkpoints:
            checkpoints.save_best(step, self.weights, {})

    def _better(self, value: float, than: float) -> bool:
        return value < than if self.metric.endswith("loss") else value > than

    def take(self, model: nn.Module) -> dict[str, float]:
        """Put the best weights into the model; their figures, or none where there are no such weights."""
        if self.weights is None:
            return {}
        model.load_state_dict(self.weights)
        return self.figures

    def facts(self) -> BestFacts:
        """What a checkpoint records."""
        return BestFacts(figures=self.figures, step=self.step, since=self._since)

    def restore(self, facts: BestFacts, checkpoints: Checkpoints | None) -> None:
        """Continue from :meth:`facts`, with the weights that ``checkpoints`` has kept."""
        self.figures, self.step, self._since = dict(facts.figures), facts.step, facts.since
        kept = checkpoints.best() if checkpoints and self.figures else None
        if kept and kept.step == self.step:
            self.weights = kept.tensors
