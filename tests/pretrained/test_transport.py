"""Language models to start from: written, found, fetched, checked, and refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from ulmfit.config import Dropouts, ModelConfig, TextConfig
from ulmfit.directions import DIRECTIONS
from ulmfit.errors import UserError
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import ModelFacts, load_language_model, read_saved_model, save_model
from ulmfit.pretrained.catalog import CATALOG, SHIPPED
from ulmfit.pretrained.manifest import FILES, MANIFEST, PretrainedManifest
from ulmfit.pretrained.transport import export, pretrained
from ulmfit.store.filesystem import sha256
from ulmfit.text.vocab import Vocab

MODEL = ModelConfig(embedding=12, hidden=20, layers=2)
VOCAB = Vocab.from_counts({f"w{number}": 9 for number in range(30)}, 60, 1)
FACTS = PretrainedManifest(text=TextConfig())


def trained(folder: Path, direction: str, model: ModelConfig = MODEL) -> Path:
    """A language model as training leaves it."""
    folder.mkdir(parents=True)
    save_model(folder, LanguageModel(len(VOCAB), model, Dropouts(), seed=len(direction)), ModelFacts(direction=direction))
    VOCAB.save(folder / "vocab.json")
    return folder


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    parts = {direction: trained(tmp_path / "made" / direction, direction) for direction in DIRECTIONS}
    return Path(export(str(tmp_path / "lm"), parts, FACTS))


def test_what_is_exported_is_found_and_reads_as_it_did(exported: Path, tmp_path: Path) -> None:
    found = pretrained(exported)
    assert list(found.folders) == list(DIRECTIONS) and found.model == MODEL
    assert found.manifest == FACTS.model_copy(update={"files": found.manifest.files}) and len(found.manifest.files) == 6
    ids = torch.randint(0, len(VOCAB), (7, 3))
    for direction, folder in found.folders.items():
        assert found.digests(direction) == {name: sha256(folder / name) for name in FILES}
        assert read_saved_model(folder).direction == direction and Vocab.load(folder / "vocab.json") == VOCAB
        before, after = (load_language_model(place).eval() for place in (tmp_path / "made" / direction, folder))
        with torch.no_grad():
            torch.testing.assert_close(after(ids)[0], before(ids)[0], rtol=0, atol=0.02)


def test_a_folder_of_trained_models_serves_without_a_manifest(tmp_path: Path) -> None:
    trained(tmp_path / "own" / "backward", "backward")
    found = pretrained(tmp_path / "own")
    assert list(found.folders) == ["backward"] and found.manifest is None
    assert found.digests("backward") == {name: sha256(tmp_path / "own" / "backward" / name) for name in FILES}
    assert found.facts("backward").trained_tokens is None


@pytest.mark.parametrize("name", [f"{direction}/{file}" for direction in DIRECTIONS for file in FILES])
def test_a_damaged_or_missing_file_is_named(exported: Path, name: str) -> None:
    path = exported / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=f"{name}: damaged"):
        pretrained(exported)
    path.unlink()
    with pytest.raises(UserError, match=f"{name}: is missing"):
        pretrained(exported)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "forward/../../x", "sideways/model.safetensors", "forward/code.py"])
def test_no_other_name_of_a_manifest_is_followed(exported: Path, name: str) -> None:
    body = json.loads((exported / MANIFEST).read_text())
    body["files"][name] = "0" * 64
    (exported / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(UserError, match="no part of a language model"):
        pretrained(exported)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}'])
def test_a_manifest_that_is_none_is_told(exported: Path, text: str) -> None:
    (exported / MANIFEST).write_text(text)
    with pytest.raises(UserError, match=MANIFEST):
        pretrained(exported)


def test_what_is_not_there_is_told_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one of: small"):
        pretrained(tmp_path / "none")
    with pytest.raises(UserError, match="no forward/ or backward/"):
        pretrained(tmp_path)
    (tmp_path / "forward").mkdir()
    with pytest.raises(UserError, match="not a model folder"):
        pretrained(tmp_path)


def test_both_directions_are_of_one_size(tmp_path: Path) -> None:
    trained(tmp_path / "forward", "forward")
    trained(tmp_path / "backward", "backward", ModelConfig(embedding=8, hidden=20, layers=2))
    with pytest.raises(UserError, match="differ in size"):
        pretrained(tmp_path)


def test_nothing_is_overwritten(exported: Path, tmp_path: Path) -> None:
    before = sha256(exported / MANIFEST)
    with pytest.raises(UserError, match="is not empty"):
        export(str(exported), {"forward": tmp_path / "made" / "forward"}, FACTS)
    assert sha256(exported / MANIFEST) == before


@pytest.fixture
def served(exported: Path) -> Iterator[tuple[str, list[str]]]:
    """The folder behind HTTP, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(exported)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_a_web_address_is_fetched_once_and_checked_each_time(served: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = served
    found = pretrained(address, tmp_path / "cache")
    assert list(found.folders) == list(DIRECTIONS) and f"/forward/{FILES[0]}" in asked
    asked.clear()
    (found.folders["forward"] / FILES[0]).write_bytes(b"damaged")
    again = pretrained(address, tmp_path / "cache")
    assert again == found and sorted(set(asked)) == [f"/forward/{FILES[0]}", f"/{MANIFEST}"], "what is sound is not fetched again"
    load_language_model(again.folders["forward"])


def test_what_the_web_does_not_have_is_one_line(served: tuple[str, list[str]], exported: Path, tmp_path: Path) -> None:
    (exported / MANIFEST).rename(exported / "elsewhere.json")
    with pytest.raises(UserError, match="cannot be fetched"):
        pretrained(served[0], tmp_path / "cache")
    with pytest.raises(UserError, match="cannot be fetched"):
        pretrained("http://127.0.0.1:9", tmp_path / "cache")


def test_the_catalog_vouches_for_the_shipped_language_model() -> None:
    known, found = CATALOG[SHIPPED], pretrained(SHIPPED)
    assert list(found.folders) == list(DIRECTIONS) and sha256(Path(known.location) / MANIFEST) == known.manifest
    assert found.manifest and found.manifest.text == TextConfig(lang=known.lang, rules=known.rules)
    assert found.manifest.model_dump(mode="json") == json.loads((Path(known.location) / MANIFEST).read_bytes()), "no fact is lost"
    for direction, folder in found.folders.items():
        assert found.facts(direction).trained_tokens == 560_000_000
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 12_000_000, "12 MB a direction"
        assert read_saved_model(folder).direction == direction
        assert load_language_model(folder).encoder.vocab_size == len(Vocab.load(folder / "vocab.json"))
