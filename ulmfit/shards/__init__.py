"""Shards: text work on parts of a corpus, and the documents and batches in them.

``from ulmfit.shards import Documents`` is what a notebook needs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ulmfit.shards.documents import Documents

__all__ = ["Documents"]


def __getattr__(name: str) -> Any:
    if name != "Documents":
        raise AttributeError(f"module 'ulmfit.shards' has no attribute {name!r}")
    from ulmfit.shards.documents import Documents

    return Documents
