"""Text work on the parts of a corpus, and their documents and batches; a notebook needs ``from ulmfit.shards import Documents``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ulmfit.shards.documents import Documents

__all__ = ["Documents"]


def __getattr__(name: str) -> Any:
    if name != "Documents":
        raise AttributeError(f"module 'ulmfit.shards' has no attribute {name!r}")
    from ulmfit.shards.documents import Documents

    return Documents
