"""Map a function over the parts of a corpus: the protocol that clusters implement, and a loop in this process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ulmfit.errors import RunFailed

Spec = TypeVar("Spec")
Record = TypeVar("Record")


class PartKilled(RunFailed):
    """No worker survives a part. ``index``: of its spec; ``part``: its name; ``memory``: a worker's limit in bytes, if it has one."""

    def __init__(self, index: int, part: str, deaths: int, memory: int | None):
        limit = f" of {memory / 1e9:.1f} GB" if memory else ""
        super().__init__(f"part {part}: {deaths} workers died while working on it; is it too large for a worker's memory{limit}?")
        self.index, self.part, self.memory = index, part, memory


@dataclass(frozen=True)
class PartWork(Generic[Spec, Record]):
    """``function`` over ``specs``; ``label`` names a spec. Where workers die on one, ``mend`` returns another to try, or raises."""

    name: str
    function: Callable[[Spec], Record]
    specs: Sequence[Spec]
    label: Callable[[Spec], str]
    mend: Callable[[Spec, PartKilled], Spec] | None = None


class Mapper(Protocol):
    """Does the work on all parts; results in the order of the specs."""

    def __call__(self, work: PartWork[Spec, Record]) -> list[Record]: ...


def serial(work: PartWork[Spec, Record]) -> list[Record]:
    """A for-loop in this process."""
    return [work.function(spec) for spec in work.specs]
