"""Text to shards in one call: grown corpora, changed vocabularies, trees of counts."""

from collections import Counter
from pathlib import Path

import pytest

from ulmfit.config import CorpusConfig, PartsConfig, TextConfig, VocabConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.errors import UserError
from ulmfit.pipeline import Shards, make_shards
from ulmfit.shards import tokenise
from ulmfit.shards.arrow import read_ipc
from ulmfit.shards.documents import Documents
from ulmfit.shards.mapping import serial
from ulmfit.stages import shards as stages
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab

SMALL = VocabConfig(max_size=40, min_count=1)
PARTS = PartsConfig(bytes=300, together_bytes=1)  # each file a slice


def write(folder: Path, name: str, sentences: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("text,label\n" + "".join(f"{sentence},{'ab'[n % 2]}\n" for n, sentence in enumerate(sentences)))


def mail(name: str, rows: int = 30) -> list[str]:
    return [f"{name} {n} wrote about the bill of {n % 7} pounds" for n in range(rows)]


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "mail"
    write(folder, "a.csv", mail("anna"))
    write(folder, "b.csv", mail("ben"))
    return folder


@pytest.fixture
def tokenised(monkeypatch):
    """The parts that were really tokenised."""
    parts, real = [], tokenise.token_table
    monkeypatch.setattr(tokenise, "token_table", lambda source, *rest: parts.append(Path(source).stem) or real(source, *rest))
    return parts


def test_text_to_shards(corpus, tmp_path):
    shards = make_shards(CorpusSource(str(corpus)), tmp_path / "out", parts=PARTS, vocab=SMALL)
    documents = Documents.open(shards.ids.path, ["train", "valid", "test"])
    vocab = Vocab.load(shards.vocab.path / "vocab.json")
    assert len(shards.corpus.record.parts) > 4
    assert sorted(documents.ids) == sorted(f"{name}.csv:{row}" for name in "ab" for row in range(1, 31))
    texts = {f"{name[0]}.csv:{row}": text for name in ("anna", "ben") for row, text in enumerate(mail(name), 1)}
    made = Tokenizer()([texts[name] for name in documents.ids])
    assert [documents.doc(i).tolist() for i in range(60)] == [vocab.encode(tokens).tolist() for tokens in made]
    assert documents.labels.tolist() == [(int(name.split(":")[1]) - 1) % 2 for name in documents.ids]
    seen = Counter(token for tokens in made[: len(Documents.open(shards.ids.path, ["train"]))] for token in tokens)
    counts = read_ipc(shards.vocab.path / "counts.arrow")
    assert Counter(dict(zip(counts["token"].to_pylist(), counts["count"].to_pylist(), strict=True))) == seen


def test_a_second_call_finds_everything_and_a_changed_vocabulary_tokenises_nothing(corpus, tmp_path, tokenised):
    source = CorpusSource(str(corpus))
    first = make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL)
    assert len(tokenised) == len(first.corpus.record.parts)
    tokenised.clear()
    assert make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL) == first
    other = make_shards(source, tmp_path / "out", parts=PARTS, vocab=VocabConfig(max_size=20, min_count=1))
    assert tokenised == []
    assert (other.tokens.key, other.vocab.key != first.vocab.key, other.ids.key != first.ids.key) == (first.tokens.key, True, True)


def test_a_grown_corpus_tokenises_its_new_parts_alone(corpus, tmp_path, tokenised):
    source = CorpusSource(str(corpus))
    first = make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL)
    tokenised.clear()
    write(corpus, "c.csv", mail("carl", 12))
    grown = make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL)
    old = {part.name: part.texts for part in first.corpus.record.parts}
    new = {part.name: part.texts for part in grown.corpus.record.parts}
    assert {name: new[name] for name in old} == old
    assert sorted(tokenised) == sorted(set(new) - set(old)) != []
    for name in old:
        assert (grown.tokens.path / f"{name}.tokens.arrow").stat().st_ino == (first.tokens.path / f"{name}.tokens.arrow").stat().st_ino
    afresh = make_shards(source, tmp_path / "elsewhere", parts=PARTS, vocab=SMALL)
    assert (afresh.ids.key, shards_of(afresh)) == (grown.ids.key, shards_of(grown))


def shards_of(made: Shards) -> dict:
    return {name: entry for name, entry in made.ids.manifest.files.items() if name.endswith(".arrow")}


def test_another_seed_of_the_splits_tokenises_nothing(corpus, tmp_path, tokenised):
    source = CorpusSource(str(corpus))
    make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL)
    tokenised.clear()
    make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL, corpus=CorpusConfig(seed=7))
    assert tokenised == []


def test_a_damaged_shard_is_not_taken_over(corpus, tmp_path, tokenised):
    source = CorpusSource(str(corpus))
    first = make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL)
    tokenised.clear()
    shard = first.tokens.path / "part-00001.tokens.arrow"
    shard.write_bytes(shard.read_bytes()[::-1])
    again = make_shards(source, tmp_path / "out", parts=PARTS, vocab=SMALL)
    assert tokenised == ["part-00001"]
    assert again.tokens.manifest.files["part-00001.tokens.arrow"] == first.tokens.manifest.files["part-00001.tokens.arrow"]


@pytest.mark.parametrize("fan_in", [2, 3, 100])
def test_the_tree_of_counts_has_no_say(corpus, tmp_path, monkeypatch, fan_in):
    whole = make_shards(CorpusSource(str(corpus)), tmp_path / "a", parts=PARTS, vocab=SMALL)
    monkeypatch.setattr(stages, "FAN_IN", fan_in)
    levels = []

    def mapper(work):
        levels.append(work.name)
        return serial(work)

    tree = make_shards(CorpusSource(str(corpus)), tmp_path / "b", parts=PARTS, vocab=SMALL, mapper=mapper)
    assert tree.vocab.manifest.files == whole.vocab.manifest.files
    assert any("level 2" in name for name in levels) == (fan_in < 100)
    assert [path.name for path in tree.vocab.path.iterdir() if path.is_dir()] == []


def test_text_without_labels_by_its_name(tmp_path):
    (tmp_path / "notes.txt").write_text("".join(f"note {n} of the day\n" for n in range(40)))
    shards = make_shards(str(tmp_path / "notes.txt"), tmp_path / "out", text=TextConfig(rules="fastai"), vocab=SMALL)
    documents = Documents.open(shards.ids.path, ["train", "valid"])
    assert (len(documents), set(documents.labels.tolist())) == (40, {-1})
    with pytest.raises(UserError, match="no such file or folder"):
        make_shards(str(tmp_path / "none"), tmp_path / "out")


def test_two_drivers_write_the_same_bytes(corpus, tmp_path):
    """But for artifact.json, which holds times: so a file of one driver in an artifact of the other is no damage."""

    def made(out: Path) -> dict[Path, bytes]:
        shards = make_shards(CorpusSource(str(corpus)), out, parts=PARTS, vocab=SMALL)
        folders = [output.path for output in (shards.corpus, shards.tokens, shards.vocab, shards.ids)]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != "artifact.json"]
        return {path.relative_to(out): path.read_bytes() for path in files}

    first, second = made(tmp_path / "one"), made(tmp_path / "two")
    assert first == second and sum(path.name == "part-00000.json" for path in first) == 2
