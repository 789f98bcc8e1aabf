"""The page Lineage: from files to alias, and which versions read a file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tasks.calls import KEY_TAG
from tests.dashboard.home import MODEL, Home
from tests.dashboard.test_data import cycle, file
from tests.report.example import Page
from ulmfit.store.artifacts import Artifact, Built
from ulmfit.store.recipe import Recipe

SCRIPT = "<script>alert(1)</script>"


def make(home: Home, kind: str, config: dict[str, Any], record: dict[str, Any] | None = None, **inputs: Artifact) -> Artifact:
    recipe = Recipe(kind, 1, config, {role: artifact.key for role, artifact in inputs.items()})
    return home.workspace.store.make(recipe, lambda work: Built(record or {}))[0]


def trained(home: Home, seed: str, landed: bool = True, **record: Any) -> Artifact:
    """A model and what is behind it: of landed text, or of a file."""
    config = {"landed": seed} if landed else {"documents": seed}
    corpus = make(home, "corpus", config, {"name": MODEL, "digest": seed.ljust(64, "e"), "source": "landing", **record})
    lm = make(home, "language-model", {"direction": "forward"}, corpus=corpus)
    return make(home, "model", {}, corpus=corpus, forward=make(home, "classifier", {"direction": "forward"}, language_model=lm))


def register(home: Home, model: Artifact) -> str:
    version = home.version(run=home.run())
    home.client.set_model_version_tag(MODEL, version, KEY_TAG, model.key)
    return version


def arrivals(home: Home) -> list[str]:
    with home.database.reading() as reading:
        return [row["id"] for row in reading.execute("select id from landed order by id")]


@pytest.fixture
def retrained(home: Home) -> Home:
    """Two versions: the first read what landed first, the second all but what landed last."""
    for number in range(3):
        home.landed(files=[file(number, f"mail/{number}.csv"), file(number + 10, f"{SCRIPT}/{number}.csv")])
    home.read()
    for number, until in enumerate(arrivals(home)[:2], 1):
        retraining = home.decide("retrain", None, cycle=cycle(number, None, until))
        version = register(home, trained(home, f"ab{number}"))
        home.decide("first version" if number == 1 else "promoted", version, retraining=retraining.id)
    return home


def test_the_graph_leads_from_files_to_the_alias(retrained: Home) -> None:
    with retrained.looking() as client:
        found = client.get("/api/v1/lineage", params={"name": MODEL}).json()
        page = client.get("/lineage").text
    kinds = [node["kind"] for node in found["nodes"]]
    assert found["version"] == "2" and kinds == ["files", "corpus", "language-model", "classifier", "model", "version", "alias"]
    assert (found["nodes"][0]["files"]["number"], found["nodes"][0]["files"]["arrivals"]) == (4, 2)
    boxes = re.findall(r'<a href="#(n-[^"]+)"><g', page)
    assert sorted(boxes) == sorted(f"n-{node['key']}" for node in found["nodes"])  # each can be reached by keyboard, and is in the list
    assert set(boxes) <= set(Page(page).ids) and "4 files that landed" in page and "@champion" in page


def test_an_older_version_shows_what_it_was_made_of(retrained: Home) -> None:
    with retrained.looking() as client:
        found = client.get("/api/v1/lineage", params={"name": MODEL, "version": "1"}).json()
        assert found["nodes"][0]["files"]["number"] == 2 and found["nodes"][-1]["kind"] == "version"
        for query in ({"name": MODEL, "version": "9"}, {"name": "nobody"}):
            assert client.get("/lineage", params=query).status_code == client.get("/api/v1/lineage", params=query).status_code == 404


def test_a_file_knows_the_versions_that_read_it(retrained: Home) -> None:
    with retrained.looking() as client:
        ask = lambda text: client.get("/api/v1/readers", params={"file": text}).json()
        readers = lambda text: [[each["version"] for each in found["readers"]] for found in ask(text)["files"]]
        assert readers("mail/0.CSV") == [["1", "2"]] and readers("mail/1.csv") == [["2"]] and readers("mail/2.csv") == [[]]
        assert readers(f"{1:064x}") == [["2"]] and readers("0" * 63) == [[], [], ["2"], ["2"], ["1", "2"], ["1", "2"]]
        assert readers("%") == readers("' or 1=1 --") == []
        page = client.get("/readers", params={"file": SCRIPT}).text
        assert "no version yet" in page and SCRIPT not in page and "version=1" in page
        assert client.get("/readers").status_code == 200 and client.get("/readers", params={"file": "x" * 301}).status_code == 422


def test_artifacts_and_files_of_corpora_know_their_versions_too(home: Home) -> None:
    model = trained(home, "cd", landed=False, source="/data/a & b.csv", more=["s3://bucket/other.csv"])
    version = register(home, model)
    alone = make(home, "corpus", {"documents": "unused"}, {"name": "x", "digest": "f" * 64, "source": "/data/unused.csv"})
    with home.looking() as client:
        ask = lambda text: client.get("/api/v1/readers", params={"file": text}).json()["artifacts"]
        for text in ("A & B", "bucket/other", "cdeeee", model.manifest.inputs["corpus"][:12]):
            (found,) = ask(text)
            assert found["readers"] == [{"model": MODEL, "version": version}], text
        assert ask(alone.key)[0]["readers"] == ask("unused")[0]["readers"] == []
        nodes = client.get("/api/v1/lineage", params={"name": MODEL}).json()["nodes"]
        assert sorted(node["name"] for node in nodes if node["kind"] == "files") == ["a & b.csv", "other.csv"]
        assert "a &amp; b.csv" in client.get("/lineage").text


def test_a_name_that_may_be_a_digest_is_found_as_a_name(home: Home) -> None:
    home.landed(files=[file(1, "mail/20241105.csv")])
    register(home, trained(home, "ab", landed=False, source="/data/facade.csv"))
    with home.looking() as client:
        ask = lambda text: client.get("/api/v1/readers", params={"file": text}).json()
        assert [found["file"]["name"] for found in ask("20241105")["files"]] == ["mail/20241105.csv"]
        assert [found["source"] for found in ask("Facade")["artifacts"]] == ["/data/facade.csv"]


def test_what_is_no_longer_in_the_store_stays_in_the_graph(home: Home) -> None:
    model = trained(home, "ab")
    register(home, model)
    with home.looking() as client:
        corpus = model.manifest.inputs["corpus"]
        for file_ in home.workspace.root.glob(f"artifacts/corpus/{corpus}/*"):
            file_.unlink()
        (home.workspace.root / "artifacts" / "corpus" / corpus).rmdir()
        home.read()
        (gone,) = [node for node in client.get("/api/v1/lineage", params={"name": MODEL}).json()["nodes"] if node["gone"]]
        assert gone["key"] == corpus and "no longer in the store" in client.get("/lineage").text


def test_nothing_is_registered_yet(home: Home) -> None:
    with home.looking() as client:
        assert "No version is registered yet" in client.get("/lineage").text
