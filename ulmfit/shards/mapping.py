"""Map a function over the parts of a corpus: the protocol that clusters implement, and a loop in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Spec = TypeVar("Spec")
Record = TypeVar("Record")


class Mapper(Protocol):
    """Applies ``function`` to each of ``specs``; results in their order. ``name`` names the work, ``label`` a spec."""

    def __call__(
        self, name: str, function: Callable[[Spec], Record], specs: Sequence[Spec], label: Callable[[Spec], str]
    ) -> list[Record]: ...


def serial(name: str, function: Callable[[Spec], Record], specs: Sequence[Spec], label: Callable[[Spec], str]) -> list[Record]:
    """A for-loop in this process."""
    return [function(spec) for spec in specs]
