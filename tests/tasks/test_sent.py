"""Stages that travel: what is packed is unpacked as it was, and the stage that comes of it has the same key."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from tasks.sent import NAMED, POOLS, Make, SentStage, packed, unpacked
from ulmfit.config import WarmConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.errors import RunFailed
from ulmfit.presets import preset
from ulmfit.stages.corpus import ingest
from ulmfit.stages.models import classify, finetune, warm_finetune
from ulmfit.stages.outputs import Output
from ulmfit.stages.shards import tokenise
from ulmfit.stages.stage import Context
from ulmfit.store.artifacts import Built, Store
from ulmfit.store.recipe import Recipe

SETTINGS = preset("tiny")
VALUES: dict[str, Any] = {
    "source": CorpusSource("here.csv", "körper", None, more=("a.csv", "b.csv"), label_separator=";"),
    "quality": SETTINGS.quality,
    "labelled": True,
    "quarantine_crashing": True,
    "judge": "test",
    "model": SETTINGS.model,
    "finetune": SETTINGS.finetune,
    "settings": SETTINGS,
    "direction": "backward",
    "new_parts": ["part-00001", "part-00007"],
}
CONFIGS: dict[str, Any] = {
    "average": SETTINGS.classifier,
    "ingest": SETTINGS.corpus.model_copy(update={"valid_share": 1 / 3}),
    "tokenise": SETTINGS.text,
    "vocabulary": SETTINGS.vocab,
    "grow_vocabulary": SETTINGS.vocab,
    "pretrain": SETTINGS.pretrain,
    "finetune": SETTINGS.finetune,
    "warm_finetune": WarmConfig(rate=0.1),
}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    store = Store(tmp_path / "store")
    store.set_up()
    return Context(store, tmp_path / "downloads")


def made(store: Store, output: type[Output[Any]], name: str) -> Output[Any]:
    found, _ = store.make(Recipe(name.replace("_", "-"), 1, {}), lambda work: Built({}))
    return output(found.location, found.manifest, found.copy)


def arguments_of(make: Make, context: Context) -> dict[str, Any]:
    """One of each type that the function takes."""
    given: dict[str, Any] = {}
    for name, hint in get_type_hints(make).items():
        if name == "return":
            continue
        kinds = [kind for kind in (hint, *getattr(hint, "__args__", ())) if isinstance(kind, type) and issubclass(kind, Output)]
        given[name] = made(context.store, kinds[0], name) if kinds else context if hint is Context else VALUES.get(name)
        given[name] = CONFIGS[make.__name__] if name == "config" else given[name]
        assert given[name] is not None, f"{make.__name__} takes {name}, of which this test knows no value"
    return given


@pytest.mark.parametrize("make", POOLS, ids=lambda make: make.__name__)
def test_a_stage_comes_back_as_it_was_sent(make: Make, context: Context) -> None:
    given = arguments_of(make, context)
    travelled = json.loads(json.dumps(packed(make, given)))
    back = unpacked(NAMED[make.__name__], travelled, context)
    assert back == given and list(signature(make).bind(**back).arguments) == list(signature(make).bind(**given).arguments)
    assert all(type(back[name]) is type(value) for name, value in given.items())


def test_the_stage_has_the_same_key(context: Context) -> None:
    for make in (finetune, warm_finetune):
        given = arguments_of(make, context)
        assert make(**unpacked(make, json.loads(json.dumps(packed(make, given))), context)).recipe.key == make(**given).recipe.key


def test_a_classifier_without_a_language_model(context: Context) -> None:
    given = arguments_of(classify, context) | {"lm": None}
    assert packed(classify, given)["lm"] is None and unpacked(classify, packed(classify, given), context) == given


def test_what_an_embedded_stage_leaves_away_is_left_away(context: Context) -> None:
    given = arguments_of(tokenise, context)
    del given["quarantine_crashing"]
    assert unpacked(tokenise, packed(tokenise, given), context) == given


@pytest.mark.parametrize("location", ["corpus/abc", "corpus/../../etc", "../x/abc", "corpus", "/etc/passwd", "", "a/b/c"])
def test_an_artifact_that_is_not_there_is_one_line(location: str, context: Context) -> None:
    with pytest.raises(RunFailed, match="every machine needs the same store") as error:
        unpacked(tokenise, {"corpus": location, "config": {}}, context)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"config": {"lang": 3}}, {"strange": 1}, {"config": {"no_such_setting": 1}}])
def test_arguments_of_another_version_are_one_line(wrong: dict[str, Any], context: Context) -> None:
    given = packed(tokenise, arguments_of(tokenise, context)) | wrong
    with pytest.raises(RunFailed, match="bring both checkouts to the same version"):
        unpacked(tokenise, given, context)


def test_only_stages_can_be_named() -> None:
    fields = {"kind": "encode", "arguments": {}, "artifacts": "/x", "workspace": "/x", "experiment": "1", "run": "1"}
    for name in ("os.system", "landed", "__import__", ""):
        with pytest.raises(RunFailed, match="knows no such stage"):
            _ = SentStage.model_validate({"stage": name, **fields}).make
    assert SentStage.model_validate({"stage": "ingest", **fields}).make is ingest
