"""Which artifacts a model needs, to be defended, made again and gone on from: all it was made of, but for the models before it."""

from collections.abc import Iterable, Mapping

from ulmfit.store.artifacts import Manifest

BEFORE = "language_model"  # the role of the language model that another one, or a classifier, begins with
EARLIER = "earlier"  # the role of the vocabulary from which another one grew


def needed(roots: Iterable[str], known: Mapping[str, Manifest]) -> set[str]:
    """The keys of ``roots`` and of all that they need; of those that are not ``known``, their own.

    A language model that went on from one that was fine-tuned already does not need that one, nor its text: the general language model
    with which all began is what a cold training starts from. Nor does a vocabulary need the one from which it grew. A general language
    model that was pretrained here is always needed.
    """
    found = {manifest.key for manifest in known.values() if _pretrained_here(manifest)}
    expanded: set[str] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        found.add(key)
        if key in known and key not in expanded:
            expanded.add(key)
            waiting += _inputs(known[key], known)
    return found


def _inputs(manifest: Manifest, known: Mapping[str, Manifest]) -> Iterable[str]:
    warm = manifest.kind == "language-model"
    return (_beginning(key, known) if warm and role == BEFORE else key for role, key in manifest.inputs.items() if role != EARLIER)


def _beginning(key: str, known: Mapping[str, Manifest]) -> str:
    """The language model at the beginning of the chain that ends with ``key``."""
    while key in known and BEFORE in known[key].inputs:
        key = known[key].inputs[BEFORE]
    return key


def _pretrained_here(manifest: Manifest) -> bool:
    return manifest.kind == "language-model" and "ids" in manifest.inputs and BEFORE not in manifest.inputs
