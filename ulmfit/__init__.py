"""ULMFiT (Howard & Ruder 2018): the method, without an orchestrator, a cluster or a tracker.

``from ulmfit import Tokenizer, TextClassifier`` is all that a notebook needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ulmfit.estimator import TextClassifier
    from ulmfit.text.tokenizer import Tokenizer

    __version__: str

__all__ = ["TextClassifier", "Tokenizer", "__version__"]

# Loaded when asked for: a worker that only encodes shards needs neither torch nor spaCy.
_PLACES = {"TextClassifier": "ulmfit.estimator", "Tokenizer": "ulmfit.text.tokenizer"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # it imports much, and with `python -m ulmfit` from the user's folder first

        return metadata.version("ulmfit")
    if name not in _PLACES:
        raise AttributeError(f"module 'ulmfit' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
