"""When a part counts as done, and what is made again."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.shards.parts import TEXTS, encode, write_corpus, write_part
from ulmfit.shards import encode as encoding
from ulmfit.shards import tokenise
from ulmfit.shards.arrow import IDS_SUFFIX
from ulmfit.shards.encode import encode_part
from ulmfit.shards.part_record import PartRecord, done_part, save_record
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.store.digests import StoredFile, stored_file
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab


@pytest.fixture
def finished(tmp_path):
    write_part(tmp_path, "part-00000", [[1, 2], [3]])
    path = tmp_path / f"part-00000{IDS_SUFFIX}"
    record = PartRecord("part-00000", 2, 3, 3, {path.name: stored_file(path)})
    save_record(tmp_path, record)
    return tmp_path, path, record


def test_a_finished_part_is_done(finished):
    folder, _, record = finished
    assert done_part(folder, "part-00000") == record
    assert done_part(folder, "part-00001") is None


def test_a_part_cut_short_is_not_done(finished):
    folder, path, _ = finished
    path.write_bytes(path.read_bytes()[:-1])
    assert done_part(folder, "part-00000") is None


def test_one_changed_byte_is_noticed(finished):
    folder, path, _ = finished
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert done_part(folder, "part-00000") is None


def test_a_missing_file_or_a_broken_record_is_not_done(finished):
    folder, path, record = finished
    save_record(folder, replace(record, files={**record.files, "another.arrow": StoredFile("0", 0)}))
    assert done_part(folder, "part-00000") is None
    for content in ("", "{", "[]", "null", '{"part": "part-00000"}', "\x00"):
        (folder / "part-00000.json").write_text(content)
        assert done_part(folder, "part-00000") is None, content
    save_record(folder, record)
    path.unlink()
    assert done_part(folder, "part-00000") is None


def test_a_part_that_is_done_is_not_done_again(tokens, tmp_path, monkeypatch):
    _, spec, record = tokens
    _, encode_spec, encoded = encode(spec, tmp_path, Vocab(SPECIALS))
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}
    monkeypatch.setattr(tokenise, "token_table", lambda *_: pytest.fail("tokenised again"))
    monkeypatch.setattr(encoding, "id_table", lambda *_: pytest.fail("encoded again"))
    assert tokenize_part(spec) == record
    assert encode_part(encode_spec) == encoded
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}


def test_a_part_that_was_damaged_is_made_again_with_the_same_bytes(tokens):
    folder, spec, record = tokens
    (folder / "part-00000.tokens.arrow").write_bytes(b"")
    assert done_part(folder, "part-00000") is None
    again = tokenize_part(spec)
    assert again.files == record.files
    assert done_part(folder, "part-00000") == again


def test_the_record_comes_last(tmp_path, monkeypatch):
    folder = tmp_path / "tokens"
    spec = TokenizeSpec(write_corpus(tmp_path / "corpus", "part-00000", TEXTS), str(folder), "en", "default")

    def failing(place, table):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenise, "write_ipc", failing)
    with pytest.raises(OSError, match="No space"):
        tokenize_part(spec)
    assert not (folder / "part-00000.json").exists()


@pytest.mark.parametrize(
    "harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.write_bytes(path.read_bytes()[::-1])]
)
def test_only_the_harmed_part_is_made_again(tmp_path, harm):
    folder = tmp_path / "tokens"
    specs = [TokenizeSpec(write_corpus(tmp_path / "corpus", f"part-{n:05d}", TEXTS), str(folder), "en", "default") for n in range(3)]
    records = [tokenize_part(spec) for spec in specs]
    inodes = {path.name: path.stat().st_ino for path in folder.iterdir()}
    harm(folder / "part-00001.tokens.arrow")
    assert [record.files for record in map(tokenize_part, specs)] == [record.files for record in records]
    changed = {path.name for path in folder.iterdir() if inodes[path.name] != path.stat().st_ino}
    assert {name.split(".")[0] for name in changed} == {"part-00001"}
