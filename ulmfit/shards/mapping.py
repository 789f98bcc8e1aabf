"""Map a function over the parts of a corpus: the protocol that clusters implement, and a loop in this process."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ulmfit.errors import RunFailed

Spec = TypeVar("Spec")
Record = TypeVar("Record")


class PartKilled(RunFailed):
    """No worker survives a part. ``index``: of its spec; ``part``: its name; ``memory``: a worker's limit in bytes, if it has one."""

    def __init__(self, index: int, part: str, deaths: int, memory: int | None):
        limit = f" of {memory / 1e9:.1f} GB" if memory else ""
        super().__init__(f"part {part}: {deaths} workers died while working on it; is it too large for a worker's memory{limit}?")
        self.index, self.part, self.memory = index, part, memory


class Mapper(Protocol):
    """Applies ``function`` to each of ``specs``; results in their order. ``name`` names the work, ``label`` a spec.

    Where workers die on a spec, ``mend`` returns the spec to try instead, or raises.
    """

    def __call__(
        self,
        name: str,
        function: Callable[[Spec], Record],
        specs: Sequence[Spec],
        label: Callable[[Spec], str],
        mend: Callable[[Spec, PartKilled], Spec] | None = None,
    ) -> list[Record]: ...


def serial(
    name: str,
    function: Callable[[Spec], Record],
    specs: Sequence[Spec],
    label: Callable[[Spec], str],
    mend: Callable[[Spec, PartKilled], Spec] | None = None,
) -> list[Record]:
    """A for-loop in this process."""
    return [function(spec) for spec in specs]
