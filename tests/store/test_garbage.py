"""Garbage of a store: what is found, what stays, and removal beside processes at work and after kills."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from ulmfit.store import filesystem, garbage, removal
from ulmfit.store.artifacts import MANIFEST, Artifact, Built, KnownPart, Manifest, Store
from ulmfit.store.garbage import Found, find_garbage
from ulmfit.store.lineage import Lineage
from ulmfit.store.recipe import Recipe
from ulmfit.store.removal import remove, sweep
from ulmfit.store.usage import freed
from ulmfit.store.use import working_since

DAY = 86400.0
FORK = multiprocessing.get_context("fork")


class Killed(BaseException):
    """Ends a removal as a kill does: nothing of ours catches it."""


def with_inputs(roots: Iterable[str], known: Mapping[str, Manifest]) -> set[str]:
    """The roots and all behind them."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        found.add(key)
        waiting += known[key].inputs.values() if key in known else []
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def new_store(folder: Path) -> Store:
    made = Store(folder / "artifacts")
    made.set_up()
    return made


def recipe(name: str, *inputs: Recipe) -> Recipe:
    return Recipe("thing", 1, {"name": name}, {str(number): each.key for number, each in enumerate(inputs)})


def make(store: Store, made: Recipe, days: float = 0.0) -> Artifact:
    """An artifact that was used last so many days ago."""
    artifact, _ = Store(store.root).make(made, build)
    age(artifact.path, days)
    return artifact


def build(work: Path) -> Built:
    (work / "data").write_text("content")
    return Built({})


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    for file in [path, *path.rglob("*")]:
        os.utime(file, (then, then))


def find(store: Store, live: Iterable[str] = (), keep: float = 30 * DAY) -> Found:
    return find_garbage(store, live, with_inputs, keep)


def names(found: Found) -> list[tuple[str, str]]:
    return sorted((item.what, item.key) for item in found.garbage)


def clear(store: Store, **how) -> None:
    assert all(remove(store, item) for item in find(store, **how).garbage)
    sweep(store)


# ------------------------------------------------------------------------------------------------- what is garbage


def test_what_is_live_and_all_behind_it_stays_the_rest_goes(store):
    corpus, ids = recipe("corpus"), recipe("ids", recipe("corpus"))
    model, dead = recipe("model", ids), recipe("dead", ids)
    for each in (corpus, ids, model, dead):
        make(store, each, 40)
    found = find(store, live=[model.key])
    assert names(found) == [("artifact", dead.key)]
    assert found.kept == {corpus.key, ids.key, model.key}
    clear(store, live=[model.key])
    assert {artifact.key for artifact in store.all()} == {corpus.key, ids.key, model.key}
    assert not find(store, live=[model.key]).garbage


def test_what_was_used_lately_stays_with_its_inputs(store):
    old, young = recipe("old"), recipe("young", recipe("old"))
    make(store, old, 40)
    make(store, young, 29)
    assert not find(store).garbage
    assert names(find(store, keep=28 * DAY)) == sorted([("artifact", old.key), ("artifact", young.key)])


def test_finding_an_artifact_counts_as_use(store):
    made = recipe("old")
    make(store, made, 40)
    assert find(store).garbage
    _, found = Store(store.root).make(made, build)
    assert found and not find(store).garbage


def test_unfinished_work_goes_by_age_and_its_inputs_stay_while_it_may_be_resumed(store):
    class Interrupted(Exception): ...

    def interrupted(work: Path) -> Built:
        (work / "checkpoint").write_text("half")
        raise Interrupted

    given = recipe("given")
    make(store, given, 40)
    training = recipe("training", given)
    with pytest.raises(Interrupted):
        Store(store.root).make(training, interrupted)
    age(store.work(training.key), 20)
    assert not find(store).garbage
    age(store.work(training.key), 31)
    assert names(find(store)) == sorted([("artifact", given.key), ("unfinished work", training.key)])
    clear(store)
    assert os.listdir(store.local / ".work") == [] and list(store.all()) == []


def test_interrupted_reading_notes_of_sources_and_folders_without_a_manifest_go_by_age(store):
    for folder, name in ((".scans", "a/part.parquet"), (".deciding", "d/0"), (".sources", "b.json"), ("thing", "c/data")):
        filesystem.write_bytes(store.local / folder / name, b"x")
    assert not find(store).garbage
    age(store.local, 31)
    assert names(find(store)) == [
        ("interrupted reading", "a"),
        ("interrupted reading", "d"),
        ("note of a source", "b.json"),
        ("unfinished work", "c"),
    ]
    clear(store)
    assert not [file for name in (".scans", ".deciding", ".sources", "thing") for file in filesystem.files(store.local / name)]


def test_decisions_what_landed_and_unknown_folders_are_never_touched(store):
    kept = [store.local / name / "m" / "1.json" for name in (".decisions", ".landed", ".of-a-later-version")]
    for path in kept:
        filesystem.write_bytes(path, b"{}")
    age(store.local, 4000)
    assert not find(store, keep=0).garbage
    clear(store, keep=0)
    assert all(path.exists() for path in kept)


def test_a_file_with_several_names_gives_its_room_back_with_the_last_one(store):
    one, two = make(store, recipe("one"), 40), make(store, recipe("two"), 40)
    before = freed([one.location, two.location])
    (two.path / "data").unlink()
    os.link(one.path / "data", two.path / "data")
    assert freed([one.location, two.location]) == before - len("content")
    assert freed([one.location]) == (one.path / MANIFEST).stat().st_size


# ------------------------------------------------------------------------------------------------- beside work


def test_what_a_process_at_work_found_long_ago_stays_as_long_as_it_works(store):
    """A training of many days: its inputs were found at its beginning."""
    made = recipe("given")
    working = Store(store.root)
    working.make(made, build)
    (sign,) = (store.local / ".locks").glob("run-*")
    os.utime(sign, (time.time() - 40 * DAY,) * 2)
    age(working.find("thing", made.key).path, 39)
    assert not find(store, keep=0).garbage
    del working
    assert working_since(store.local / ".locks") is None
    assert names(find(store, keep=0)) == [("artifact", made.key)]


def test_a_killed_process_is_not_at_work(store):
    def run() -> None:
        found = Store(store.root)
        found.make(recipe("given"), build)
        os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=run)
    process.start()
    process.join()
    assert list((store.local / ".locks").glob("run-*"))
    assert working_since(store.local / ".locks") is None
    assert not list((store.local / ".locks").glob("run-*"))


def test_an_artifact_that_is_found_after_the_list_was_made_stays(store):
    made = recipe("given")
    make(store, made, 40)
    (item,) = find(store).garbage
    _, found = Store(store.root).make(made, build)
    assert found
    assert not remove(store, item)
    assert store.sound(made)


def test_an_artifact_that_is_found_while_it_is_removed_comes_back(store, monkeypatch):
    """The last moment: it is out of sight already, but was marked as used before."""
    made = recipe("given")
    artifact = make(store, made, 40)
    (item,) = find(store).garbage
    moved = os.replace

    def used_just_before(source, target):
        if str(source) == artifact.location:
            os.utime(artifact.path / MANIFEST)
        moved(source, target)

    monkeypatch.setattr(removal.os, "replace", used_just_before)
    assert not remove(store, item)
    assert store.sound(made)


def test_what_is_being_built_stays(store):
    made = recipe("given")
    filesystem.write_bytes(store.work(made.key) / "part", b"x")
    age(store.work(made.key), 40)
    (item,) = find(store).garbage
    with store.lock(made.key):
        assert not remove(store, item)
    assert (store.work(made.key) / "part").exists()


def _train(root: str, rounds: int, failures) -> None:
    """Find or build two inputs, then read them as a training does; again and again, a process of its own each time as far as others see."""
    try:
        for _ in range(rounds):
            store = Store(root)
            inputs = [store.make(recipe(name), build)[0] for name in ("one", "two")]
            time.sleep(0.005)
            for artifact in inputs:
                (artifact.path / "data").read_text()
            del store, inputs
            time.sleep(random.random() * 0.1)
    except BaseException as error:
        failures.put(repr(error))
        raise


def test_trainings_never_lose_an_input_to_removals_beside_them(store, monkeypatch):
    """What no training that is at work has found is garbage here a moment after its last use, and removed at once."""
    monkeypatch.setattr(garbage, "MARGIN", 0.0)
    failures = FORK.SimpleQueue()
    trainings = [FORK.Process(target=_train, args=(store.root, 12, failures)) for _ in range(2)]
    for training in trainings:
        training.start()
    removed = 0
    while any(training.is_alive() for training in trainings):
        removed += sum(remove(store, item) for item in find(store, keep=0.02).garbage)
    for training in trainings:
        training.join()
    assert failures.empty(), failures.get()
    assert removed


# ------------------------------------------------------------------------------------------------- kills, and what is left


@pytest.mark.parametrize("step", range(3))
def test_a_removal_that_is_killed_leaves_nothing_that_is_taken_for_whole(store, monkeypatch, step):
    made = recipe("given")
    make(store, made, 40)
    (item,) = find(store).garbage
    where, name = [(removal.os, "replace"), (removal, "usage"), (removal.filesystem, "remove")][step]
    original = getattr(where, name)

    def killed(*arguments):
        if step == 2:
            (Path(arguments[0]) / "data").unlink()  # in the middle
        elif step == 0:
            original(*arguments)
            if arguments[0] != item.location:
                return
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, name, killed)
        with pytest.raises(Killed):
            remove(store, item)
    assert store.find("thing", made.key) is None and list(store.all()) == []
    built, found = Store(store.root).make(made, build)
    assert not found and (built.path / "data").read_text() == "content"
    sweep(store)
    assert not (store.local / ".removed").exists()


def test_lineage_goes_on_through_artifacts_that_were_removed(store):
    one, two = recipe("one"), recipe("two", recipe("one"))
    three = recipe("three", two)
    for each in (one, two):
        make(store, each, 40)
    before = Lineage.of(three, store)
    clear(store)
    assert list(store.all()) == [] and store.get(two.key) is None
    assert Lineage.of(three, store) == before
    assert store.facts(two.key).files == {}


def test_the_note_of_a_token_part_moves_to_another_artifact_that_has_it_or_goes(store):
    gone, kept = make(store, recipe("gone"), 40), make(store, recipe("kept"))
    digest = kept.manifest.files["data"].sha256
    store.note_part("both", KnownPart(f"thing/{gone.key}/data", digest))
    store.note_part("one", KnownPart(f"thing/{gone.key}/data", "0" * 64))
    store.note_part("other", KnownPart(f"thing/{kept.key}/data", digest))
    clear(store)
    assert store.find_part("both") == store.find_part("other") == KnownPart(f"{kept.location}/data", digest)
    assert store.find_part("one") is None
