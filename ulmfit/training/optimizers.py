"""The two optimisers: Adam, and SGD that is averaged once validation stops improving (NT-ASGD). Rates by layer group."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ulmfit.config import TrainingConfig
from ulmfit.training.checkpoint import below
from ulmfit.training.schedules import discriminative, layer_rates


class Averages:
    """When to average, and the averages (Merity et al. 2017, algorithm 1).

    ``trigger`` is the step T after which averaging began, ``losses`` what validations before it gave, and ``means``
    (float32, one a parameter) the mean of the weights after the steps T, T+1, ..., up to the last one.
    """

    def __init__(self, parameters: list[nn.Parameter], nonmono: int):
        self.parameters, self.nonmono = parameters, nonmono
        self.trigger: int | None = None
        self.losses: list[float] = []
        self.means: list[Tensor] | None = None

    def validated(self, loss: float, step: int) -> None:
        """Begin at ``step`` if ``loss`` is worse than the best of all but the last ``nonmono`` validations."""
        if self.trigger is not None:
            return
        if len(self.losses) > self.nonmono and loss > min(self.losses[: -self.nonmono]):
            self.trigger = step
            self.means = [parameter.detach().to(torch.float32, copy=True) for parameter in self.parameters]
        self.losses.append(loss)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Count in the weights as they are after ``step``."""
        if self.means is None or self.trigger is None:
            return
        for mean, parameter in zip(self.means, self.parameters, strict=True):
            mean.lerp_(parameter.float(), 1 / (step - self.trigger + 1))

    def state(self) -> dict[str, Tensor]:
        state = {"losses": torch.tensor(self.losses, dtype=torch.float64)}
        if self.trigger is not None:
            state["trigger"] = torch.tensor(self.trigger)
        return state | {f"mean.{number}": mean for number, mean in enumerate(self.means or [])}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.losses = state["losses"].tolist()
        self.trigger = int(state["trigger"]) if "trigger" in state else None
        self.means = None
        if "mean.0" in state:
            self.means = [_like(parameter, state[f"mean.{number}"]) for number, parameter in enumerate(self.parameters)]


class Optimizer:
    """Updates layer groups at discriminative, scheduled rates with clipped gradients.

    ``groups`` are the parameters of each layer group, first to last; a parameter without a gradient (frozen) is left
    alone. ``steps`` is the length of the whole training. ``config.optimizer``: ``adam``, without cycles of its
    momentum (Howard & Ruder 2018, sec. 4.1), or ``nt-asgd`` (Merity et al. 2017, sec. 4). Nothing here waits for a GPU.
    """

    def __init__(self, groups: list[list[nn.Parameter]], config: TrainingConfig, steps: int):
        self.config, self.steps, self.step_number = config, steps, 0
        self.rates = discriminative(config.lr, len(groups), config.decay)
        self.parameters = [parameter for group in groups for parameter in group]
        sets = [{"params": group, "lr": lr} for group, lr in zip(groups, self.rates, strict=True)]
        self.rule: torch.optim.Optimizer
        self.averages: Averages | None = None
        if config.optimizer == "adam":
            self.rule = torch.optim.Adam(sets, betas=config.betas, weight_decay=config.weight_decay, fused=True)
        else:
            self.rule = torch.optim.SGD(sets, weight_decay=config.weight_decay, fused=True)
            self.averages = Averages(self.parameters, config.nonmono)

    @property
    def lr(self) -> float:
        """The last group's rate now."""
        return layer_rates(self.step_number, self.steps, self.rates, self.config)[-1]

    @property
    def means(self) -> list[Tensor] | None:
        """NT-ASGD's averages, one a parameter; None where none are being taken."""
        return self.averages.means if self.averages else None

    def step(self, scale: float = 1.0) -> Tensor:
        """One update at ``scale`` times the scheduled rates; gradients are cleared. Returns their norm before the cut, 0-dim."""
        rates = layer_rates(self.step_number, self.steps, self.rates, self.config, scale)
        for group, lr in zip(self.rule.param_groups, rates, strict=True):
            group["lr"] = lr
        norm = nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], self.config.clip, foreach=True)
        self.rule.step()
        self.rule.zero_grad(set_to_none=True)
        self.step_number += 1
        if self.averages:
            self.averages.update(self.step_number)
        return norm

    def validated(self, loss: float) -> None:
        """Take in a validation's loss, by which NT-ASGD decides when to begin averaging."""
        if self.averages:
            self.averages.validated(loss, self.step_number)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The parameters hold the averages inside, and are as before after it; nothing changes where there are none."""
        if self.means is None:
            yield
            return
        before = [parameter.detach().clone() for parameter in self.parameters]
        try:
            _copy(self.means, self.parameters)
            yield
        finally:
            _copy(before, self.parameters)

    def finish(self) -> None:
        """At the end of training: the averages, where there are any, replace the weights."""
        if self.averages and self.averages.means is not None:
            _copy(self.averages.means, self.parameters)
            self.averages.means = None

    def state(self) -> dict[str, Tensor]:
        """All that a later step depends on, besides the weights: flat, under stable names (``adam.3.exp_avg``).

        The tensors are the optimiser's own and change with its next step, as those of torch's ``state_dict`` do.
        """
        state = {"step_number": torch.tensor(self.step_number)}
        for number, parameter in enumerate(self.parameters):
            entry = self.rule.state.get(parameter, {})
            state |= {f"adam.{number}.{name}": value for name, value in entry.items() if isinstance(value, Tensor)}
        if self.averages:
            state |= {f"asgd.{name}": value for name, value in self.averages.state().items()}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from :meth:`state`, bit for bit; the tensors are copied. ValueError where parameters or optimiser differ."""
        averages, moments = below("asgd.", state), below("adam.", state)
        kind = "nt-asgd" if averages else "adam"
        if kind != self.config.optimizer:
            raise ValueError(f"the state is of {kind}, not of {self.config.optimizer}")
        self.rule.state.clear()
        for name, value in moments.items():
            number, _, what = name.partition(".")
            if int(number) >= len(self.parameters):
                raise ValueError(f"the state has a parameter {number}, and there are {len(self.parameters)}")
            parameter = self.parameters[int(number)]
            # Fused Adam needs its 0-dim counter on the parameter's device.
            self.rule.state[parameter][what] = value.to(parameter.device, copy=True) if what == "step" else _like(parameter, value)
        if self.averages:
            self.averages.restore(averages)
        self.step_number = int(state["step_number"])


def _like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """A copy of ``value`` beside ``parameter``; ValueError where it has another shape."""
    if value.shape != parameter.shape:
        raise ValueError(f"the state has a tensor of shape {tuple(value.shape)} for a parameter of shape {tuple(parameter.shape)}")
    return value.to(parameter.device, copy=True)


@torch.no_grad()
def _copy(sources: list[Tensor], parameters: list[nn.Parameter]) -> None:
    for source, parameter in zip(sources, parameters, strict=True):
        parameter.copy_(source)
