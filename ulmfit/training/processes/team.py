"""A training on several processes: each works on some columns of every batch, and the gradients are added up.

The masks of a step are drawn for the whole batch in each process, from the same random numbers, so that N processes do the
training that one would do with the same batch, up to the order in which sums are taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """The processes of a training. This one is number ``rank`` of ``size``; alone where there is no group."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of_group(cls) -> Self:
        """The initialised process group's, as of ``torchrun``."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else cls()

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def columns(self, batch: int) -> slice:
        """This process's share of ``batch`` columns; the first ones get one more where they do not come out even."""
        share, over = divmod(batch, self.size)
        start = self.rank * share + min(self.rank, over)
        return slice(start, start + share + (self.rank < over))

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def whole(self, part: Tensor, batch: int, dim: int) -> Tensor:
        """All processes' columns side by side: of ``part``, which holds this one's along ``dim``, those of the whole batch."""
        if self.size == 1:
            return part
        shape = [*part.shape]
        shape[dim] = batch
        columns = self.columns(batch)
        everything = part.new_zeros(shape)
        everything.narrow(dim, columns.start, columns.stop - columns.start).copy_(part)
        return self.total(everything)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every learning parameter's gradient becomes the sum of all processes'."""
        if self.size == 1:
            return
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        block = self.total(torch.cat([parameter.grad.flatten() for parameter in learning if parameter.grad is not None]))
        for parameter, grad in zip(learning, block.split([parameter.numel() for parameter in learning]), strict=True):
            parameter.grad = grad.view_as(parameter)

    def agreed(self, figures: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
        """The leader's ``figures``, shared with all processes: those of ``names`` that it has. The others pass an empty mapping."""
        if self.size == 1:
            return dict(figures)
        table = torch.zeros(len(names), 2, dtype=torch.float64)
        for row, name in enumerate(names):
            if self.leads and name in figures:
                table[row] = torch.tensor([1.0, figures[name]], dtype=torch.float64)
        if dist.get_backend() == "nccl":
            table = self.total(table.cuda()).cpu()
        else:
            self.total(table)
        return {name: float(value) for name, (there, value) in zip(names, table.tolist(), strict=True) if there}


def slices(columns: slice, parts: int) -> list[slice]:
    """``columns`` cut into as many ``parts``, or as there are columns."""
    alone = [Team(number, parts).columns(columns.stop - columns.start) for number in range(parts)]
    return [slice(columns.start + piece.start, columns.start + piece.stop) for piece in alone if piece.stop > piece.start]
