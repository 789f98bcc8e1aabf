"""Identity: what a key depends on, and what has no stable form."""

from pathlib import Path

import pytest

from ulmfit.config import VocabConfig
from ulmfit.store.recipe import Recipe, canonical_json

RECIPE = Recipe("thing", 1, {"size": 3, "name": "é"}, {"corpus": "abc"})


def test_key_is_stable():
    assert RECIPE.key == "314917c718ad080f8fc4de606d1544c847670ddbd7725496563ba009c9475e31"


def test_key_does_not_depend_on_the_order_of_names():
    assert Recipe("thing", 1, {"name": "é", "size": 3}, {"corpus": "abc"}).key == RECIPE.key
    assert canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'


@pytest.mark.parametrize(
    "other",
    [
        Recipe("thin", 1, {"size": 3, "name": "é"}, {"corpus": "abc"}),
        Recipe("thing", 2, {"size": 3, "name": "é"}, {"corpus": "abc"}),
        Recipe("thing", 1, {"size": 4, "name": "é"}, {"corpus": "abc"}),
        Recipe("thing", 1, {"size": 3, "name": "e"}, {"corpus": "abc"}),
        Recipe("thing", 1, {"size": 3, "name": "é"}, {"corpus": "abd"}),
        Recipe("thing", 1, {"size": 3, "name": "é"}, {"text": "abc"}),
        Recipe("thing", 1, {"size": 3, "name": "é"}),
    ],
)
def test_key_depends_on_everything_else(other):
    assert other.key != RECIPE.key


def test_a_settings_model_has_the_key_of_its_values():
    assert Recipe("v", 1, VocabConfig(max_size=100)).key == Recipe("v", 1, {"max_size": 100, "min_count": 3}).key
    assert canonical_json((1, 2)) == canonical_json([1, 2])


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float("nan"), float("inf"), b"bytes", Path("x"), {1: "a"}, [object()], {"a": {"b": {3}}}]
)
def test_what_has_no_stable_form_raises(value):
    with pytest.raises(TypeError, match="no stable form"):
        canonical_json({"value": value})
    with pytest.raises(TypeError, match="no stable form"):
        _ = Recipe("thing", 1, {"value": value}).key
