"""What a model needs in the store: all it was made of, but for the models before it."""

from __future__ import annotations

from ulmfit.stages.needed import needed
from ulmfit.store.artifacts import Manifest


def known(*made: tuple[str, str, dict[str, str]]) -> dict[str, Manifest]:
    """Manifests of (kind, key, inputs)."""
    facts = {"version": 1, "config": {}, "record": {}, "files": {}, "run_id": None, "seconds": 0.0, "finished": "", "libraries": {}}
    return {key: Manifest(kind=kind, key=key, inputs=inputs, **facts) for kind, key, inputs in made}


COLD = (
    ("ids", "general ids", {}),
    ("language-model", "general", {"ids": "general ids"}),
    ("corpus", "corpus 1", {}),
    ("vocab", "vocab 1", {"corpus": "corpus 1"}),
    ("ids", "ids 1", {"corpus": "corpus 1", "vocab": "vocab 1"}),
    ("language-model", "domain 1", {"language_model": "general", "ids": "ids 1"}),
    ("classifier", "classifier 1", {"language_model": "domain 1", "corpus": "corpus 1"}),
)
WARM = (
    ("corpus", "corpus 2", {}),
    ("vocab", "vocab 2", {"corpus": "corpus 2", "earlier": "vocab 1"}),
    ("ids", "ids 2", {"corpus": "corpus 2", "vocab": "vocab 2"}),
    ("language-model", "domain 2", {"language_model": "domain 1", "ids": "ids 2"}),
    ("language-model", "domain 3", {"language_model": "domain 2", "ids": "ids 2"}),
    ("classifier", "classifier 3", {"language_model": "domain 3", "corpus": "corpus 2"}),
)


def test_a_model_needs_all_it_was_made_of():
    everything = known(*COLD, ("corpus", "other", {}))
    assert needed(["classifier 1"], everything) == everything.keys() - {"other"}


def test_a_model_that_went_on_from_others_needs_what_they_all_began_with_and_not_them():
    found = needed(["classifier 3"], known(*COLD, *WARM))
    assert found == {"classifier 3", "corpus 2", "vocab 2", "ids 2", "domain 3", "general", "general ids"}
    assert needed(["classifier 3", "classifier 1"], known(*COLD, *WARM)) > {"domain 1", "ids 1", "corpus 1"}


def test_a_general_language_model_that_was_pretrained_here_stays_without_its_text():
    brought = ("language-model", "brought", {})
    assert needed([], known(*COLD, *WARM, brought)) == {"general"}


def test_keys_that_nobody_knows_end_nothing():
    assert needed(["nothing", "classifier 9"], known(("classifier", "classifier 9", {"language_model": "lost"}))) == {
        "nothing",
        "classifier 9",
        "lost",
    }
