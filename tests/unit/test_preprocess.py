"""The text work on one part: what is written, what is skipped, what is done again."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit import preprocess
from ulmfit.config import VocabConfig
from ulmfit.errors import UserError
from ulmfit.preprocess import EncodeSpec, TokenizeSpec, build_vocab, encode_part, id_table, merge_counts, token_table, tokenize_part
from ulmfit.shards import COUNTS_SUFFIX, IDS_SUFFIX, Documents, done_part, read_ipc, write_ipc
from ulmfit.text.rules import SPECIALS
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab

TEXTS = ["The cat sat.", "", "The dog, the cat!"]
LABELS = ["pos", None, "neg"]


def write_corpus(folder: Path, part: str, texts: list[str], labels: list[str | None]) -> str:
    folder.mkdir(exist_ok=True)
    string = pa.string()
    columns = {
        "id": pa.array([f"{part}/{i}" for i in range(len(texts))], string),
        "text": pa.array(texts, string),
        "label": pa.array(labels, string),
        "split": pa.array([part.rsplit("-", 1)[0]] * len(texts), string),
    }
    path = folder / f"{part}.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd")
    return str(path)


@pytest.fixture
def tokens(tmp_path):
    folder = tmp_path / "tokens"
    folder.mkdir()
    spec = TokenizeSpec(write_corpus(tmp_path / "corpus", "train-00000", TEXTS, LABELS), str(folder), "en", "default")
    return folder, spec, tokenize_part(spec)


def encode(tmp_path, tokens_folder, vocab, part="train-00000", labels=("neg", "pos")):
    vocab.save(tmp_path / "vocab.json")
    folder = tmp_path / "ids"
    folder.mkdir(exist_ok=True)
    spec = EncodeSpec(str(tokens_folder / f"{part}.tokens.arrow"), str(tmp_path / "vocab.json"), labels, str(folder))
    return folder, spec, encode_part(spec)


def test_token_shard_holds_the_tokens(tokens):
    folder, _, record = tokens
    expected = Tokenizer()(TEXTS)
    shard = read_ipc(folder / "train-00000.tokens.arrow")
    assert shard["tokens"].to_pylist() == expected
    assert shard["id"].to_pylist() == ["train-00000/0", "train-00000/1", "train-00000/2"]
    assert shard["label"].to_pylist() == LABELS
    assert shard.schema.field("tokens").type == pa.list_(pa.dictionary(pa.int32(), pa.string()))
    first_seen = list(dict.fromkeys(token for document in expected for token in document))
    assert shard["tokens"].chunk(0).values.dictionary.to_pylist() == first_seen
    assert (record.documents, record.tokens, record.distinct) == (3, sum(map(len, expected)), len(first_seen))


def test_counts_are_those_of_the_tokens(tokens):
    folder, _, _ = tokens
    assert merge_counts([folder / "train-00000.counts.arrow"]) == Counter(token for document in Tokenizer()(TEXTS) for token in document)


def test_ids_are_those_of_the_vocabulary(tokens, tmp_path):
    vocab = Vocab([*SPECIALS, "the", "cat", "."])
    folder, _, record = encode(tmp_path, tokens[0], vocab)
    documents = Documents.open(folder, ["train"])
    assert [documents.doc(i).tolist() for i in range(3)] == [vocab.encode(document).tolist() for document in Tokenizer()(TEXTS)]
    assert documents.labels.tolist() == [1, -1, 0]
    assert documents.ids[2] == "train-00000/2"
    assert (record.documents, record.tokens) == (3, documents.tokens)
    assert record.distinct == len(set(documents.flat().tolist()))


@pytest.mark.parametrize(("size", "dtype"), [(65_535, np.uint16), (65_536, np.uint16), (65_537, np.uint32)])
def test_width_of_the_ids(tokens, tmp_path, size, dtype):
    vocab = Vocab([*SPECIALS, *(f"w{i}" for i in range(size - 10)), "cat"])
    folder, _, _ = encode(tmp_path, tokens[0], vocab)
    documents = Documents.open(folder, ["train"])
    assert documents.flat().dtype == dtype
    assert documents.flat().max() == size - 1  # the id of "cat" is the last


def test_a_part_that_is_done_is_not_done_again(tokens, tmp_path, monkeypatch):
    folder, spec, record = tokens
    _, encode_spec, encoded = encode(tmp_path, folder, Vocab(SPECIALS))
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}
    monkeypatch.setattr(preprocess, "_tokenizer", lambda *_: pytest.fail("tokenised again"))
    monkeypatch.setattr(preprocess, "_vocab", lambda *_: pytest.fail("encoded again"))
    assert tokenize_part(spec) == record
    assert encode_part(encode_spec) == encoded
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}


def test_a_part_that_was_damaged_is_made_again_with_the_same_bytes(tokens):
    folder, spec, record = tokens
    (folder / "train-00000.counts.arrow").write_bytes(b"")
    assert done_part(folder, "train-00000") is None
    again = tokenize_part(spec)
    assert again.files == record.files
    assert done_part(folder, "train-00000") == again


def test_the_record_comes_last(tmp_path, monkeypatch):
    folder = tmp_path / "tokens"
    folder.mkdir()
    spec = TokenizeSpec(write_corpus(tmp_path / "corpus", "train-00000", TEXTS, LABELS), str(folder), "en", "default")
    written = []

    def failing(path, table):
        written.append(path.name)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(preprocess, "write_ipc", failing)
    with pytest.raises(OSError, match="No space"):
        tokenize_part(spec)
    assert not (folder / "train-00000.json").exists()


@pytest.mark.parametrize("texts", [[], [""], ["\x00"], ["", "  \n "]])
def test_parts_with_next_to_nothing(tmp_path, texts):
    folder = tmp_path / "tokens"
    folder.mkdir()
    record = tokenize_part(
        TokenizeSpec(write_corpus(tmp_path / "corpus", "test-00000", texts, [None] * len(texts)), str(folder), "en", "default")
    )
    assert record.documents == len(texts)
    ids, _, encoded = encode(tmp_path, folder, Vocab(SPECIALS), "test-00000", ())
    assert encoded.documents == len(texts)
    assert [length >= 1 for length in Documents.open(ids, ["test"]).lengths] == [True] * len(texts)


def test_specs_travel_as_pickles_of_strings(tokens):
    _, spec, record = tokens
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert pickle.loads(pickle.dumps(record)) == record
    assert all(isinstance(value, str) for value in vars(spec).values())


def test_a_label_that_is_none_of_the_corpus_is_named(tokens, tmp_path):
    with pytest.raises(UserError, match=r"train-00000\.tokens\.arrow: label 'neg' is none of the 1 labels"):
        encode(tmp_path, tokens[0], Vocab(SPECIALS), labels=("pos",))


def test_a_part_that_is_none_is_named(tmp_path):
    path = tmp_path / "train-00000.parquet"
    path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"train-00000\.parquet: not a part of a corpus") as caught:
        tokenize_part(TokenizeSpec(str(path), str(tmp_path), "en", "default"))
    assert "\n" not in str(caught.value)
    pq.write_table(pa.table({"words": ["x"]}), path)
    with pytest.raises(UserError, match=r"train-00000\.parquet: not a part of a corpus"):
        tokenize_part(TokenizeSpec(str(path), str(tmp_path), "en", "default"))


def test_a_vocabulary_written_anew_is_read_anew(tokens, tmp_path):
    encode(tmp_path, tokens[0], Vocab(SPECIALS))
    (tmp_path / "ids" / "train-00000.json").unlink()
    folder, _, _ = encode(tmp_path, tokens[0], Vocab([*SPECIALS, "cat"]))
    assert 9 in Documents.open(folder, ["train"]).flat()


def test_vocabulary_of_several_parts(tmp_path):
    folder = tmp_path / "tokens"
    folder.mkdir()
    for number, text in enumerate(["a b b", "b c", "c c d"]):
        source = write_corpus(tmp_path / "corpus", f"train-{number:05d}", [text], [None])
        tokenize_part(TokenizeSpec(source, str(folder), "en", "default"))
    paths = sorted(folder.glob("*.counts.arrow"))
    assert merge_counts(paths) == {"xxbos": 3, "a": 1, "b": 3, "c": 3, "d": 1}
    assert merge_counts([]) == {}
    assert build_vocab(paths, VocabConfig(max_size=100, min_count=2)).tokens[9:] == ("b", "c")
    assert build_vocab(reversed(paths), VocabConfig(max_size=100, min_count=1)).tokens[9:] == ("b", "c", "a", "d")


@pytest.mark.parametrize(
    "harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.write_bytes(path.read_bytes()[::-1])]
)
def test_only_the_harmed_part_is_made_again(tmp_path, harm):
    folder = tmp_path / "tokens"
    folder.mkdir()
    specs = [
        TokenizeSpec(write_corpus(tmp_path / "corpus", f"train-{n:05d}", TEXTS, LABELS), str(folder), "en", "default") for n in range(3)
    ]
    records = [tokenize_part(spec) for spec in specs]
    inodes = {path.name: path.stat().st_ino for path in folder.iterdir()}
    harm(folder / "train-00001.tokens.arrow")
    assert [record.files for record in map(tokenize_part, specs)] == [record.files for record in records]
    changed = {path.name for path in folder.iterdir() if inodes[path.name] != path.stat().st_ino}
    assert {name.split(".")[0] for name in changed} == {"train-00001"}


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
DOCUMENTS = st.lists(st.tuples(st.lists(WORDS, max_size=8), st.sampled_from(["neg", "pos", None])), max_size=6)


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_round_trip_tokens_to_shards_to_ids_to_tokens(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("round")
    tables = []
    for number, part in enumerate(parts):
        ids = [f"{number}/{i}" for i in range(len(part))]
        corpus = pa.table({"id": pa.array(ids, pa.string()), "label": pa.array([label for _, label in part], pa.string())})
        tokens, counts = token_table(corpus, [words for words, _ in part])
        write_ipc(folder / f"{number}{COUNTS_SUFFIX}", counts)
        tables.append(tokens)
    counted = merge_counts(sorted(folder.glob(f"*{COUNTS_SUFFIX}")))
    assert counted == Counter(word for part in parts for words, _ in part for word in words)
    vocab = Vocab.from_counts(counted, 10**6, 1)
    for number, tokens in enumerate(tables):
        write_ipc(folder / "tokens", tokens)
        write_ipc(folder / f"train-{number:05d}{IDS_SUFFIX}", id_table(read_ipc(folder / "tokens"), vocab, ("neg", "pos"), folder))
    documents = Documents.open(folder, ["train"])
    plain = [document for part in parts for document in part]
    assert [vocab.decode(documents.doc(i)) for i in range(len(documents))] == [words for words, _ in plain]
    assert documents.labels.tolist() == [{"neg": 0, "pos": 1, None: -1}[label] for _, label in plain]
