"""The text work on one part: what is written, what is skipped, what is done again."""

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.config import VocabConfig
from ulmfit.errors import UserError
from ulmfit.shards import encode as encoding
from ulmfit.shards import tokenise
from ulmfit.shards.arrow import TOKENS_SUFFIX, read_ipc
from ulmfit.shards.corpus_part import read_documents
from ulmfit.shards.counts import CountSpec, MergeSpec, add_counts, build_vocab, count_parts, merge_counts
from ulmfit.shards.documents import Documents
from ulmfit.shards.encode import EncodeSpec, encode_part
from ulmfit.shards.part_record import done_part
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.store.artifacts import KnownPart
from ulmfit.text.cutting import cut_text
from ulmfit.text.rules import SPECIALS
from ulmfit.text.tokenizer import TOKENS, Tokenizer
from ulmfit.text.vocab import Vocab

TEXTS = ["The cat sat.", "", "The dog, the cat!", "A mouse."]
LABELS = ["pos", None, "neg", "neg"]
SPLITS = ["train", "unlabelled", "train", "test"]


def write_corpus(folder: Path, part: str, texts: list[str], labels=None, splits=None, longest: int = 10**6) -> str:
    """A part of a corpus; a text longer than ``longest`` in pieces."""
    folder.mkdir(exist_ok=True)
    rows = [
        (f"{part}/{number}", piece, label, split, place)
        for number, (text, label, split) in enumerate(
            zip(texts, labels or [None] * len(texts), splits or ["train"] * len(texts), strict=True)
        )
        for place, piece in enumerate(cut_text(text, longest))
    ]
    columns = dict(zip(("id", "text", "label", "split", "piece"), zip(*rows, strict=True), strict=True)) if rows else {}
    types = {"id": pa.string(), "text": pa.string(), "label": pa.string(), "split": pa.string(), "piece": pa.int32()}
    path = folder / f"{part}.parquet"
    pq.write_table(pa.table({name: pa.array(columns.get(name, ()), kind) for name, kind in types.items()}), path, compression="zstd")
    return str(path)


@pytest.fixture
def tokens(tmp_path):
    folder = tmp_path / "tokens"
    spec = TokenizeSpec(write_corpus(tmp_path / "corpus", "part-00000", TEXTS, LABELS, SPLITS), str(folder), "en", "default")
    return folder, spec, tokenize_part(spec)


def encode(spec: TokenizeSpec, tmp_path: Path, vocab: Vocab, labels=("neg", "pos")):
    vocab.save(tmp_path / "vocab.json")
    folder, part = tmp_path / "ids", Path(spec.source).stem
    shard = str(Path(spec.folder) / f"{part}{TOKENS_SUFFIX}")
    again = EncodeSpec(shard, spec.source, str(tmp_path / "vocab.json"), labels, str(folder))
    return folder, again, encode_part(again)


def test_token_shard_holds_the_tokens(tokens):
    folder, _, record = tokens
    expected = Tokenizer()(TEXTS)
    shard = read_ipc(folder / "part-00000.tokens.arrow")
    assert shard["tokens"].to_pylist() == expected
    assert shard.schema.names == ["tokens"]
    assert shard.schema.field("tokens").type == TOKENS
    first_seen = list(dict.fromkeys(token for document in expected for token in document))
    assert shard["tokens"].chunk(0).values.dictionary.to_pylist() == first_seen
    assert (record.documents, record.tokens, record.distinct) == (4, sum(map(len, expected)), len(first_seen))


def count(tokens_folder, spec, splits, name="0"):
    part = (str(tokens_folder / f"{Path(spec.source).stem}{TOKENS_SUFFIX}"), spec.source)
    return count_parts(CountSpec((part,), splits, str(tokens_folder / "counting"), name))


def as_counter(table):
    return Counter(dict(zip(table["token"].to_pylist(), table["count"].to_pylist(), strict=True)))


def test_counts_are_those_of_the_splits(tokens):
    folder, spec, _ = tokens
    made = Tokenizer()(TEXTS)
    assert as_counter(read_ipc(count(folder, spec, ("train", "unlabelled")))) == Counter(t for i in (0, 1, 2) for t in made[i])
    assert as_counter(read_ipc(count(folder, spec, ("test",), "1"))) == Counter(made[3])
    assert as_counter(read_ipc(count(folder, spec, ("valid",), "2"))) == Counter()


def test_ids_are_those_of_the_vocabulary(tokens, tmp_path):
    vocab = Vocab([*SPECIALS, "the", "cat", "."])
    folder, _, record = encode(tokens[1], tmp_path, vocab)
    made = Tokenizer()(TEXTS)
    documents = Documents.open(folder, ["train", "unlabelled", "test"])
    assert [documents.doc(i).tolist() for i in range(4)] == [vocab.encode(made[i]).tolist() for i in (0, 2, 1, 3)]
    assert documents.labels.tolist() == [1, 0, -1, 0]
    assert documents.ids == [f"part-00000/{i}" for i in (0, 2, 1, 3)]
    assert (record.documents, record.tokens) == (4, documents.tokens)
    assert record.distinct == len(set(documents.joined()[:].tolist()))


@pytest.mark.parametrize(("size", "dtype"), [(65_535, np.uint16), (65_536, np.uint16), (65_537, np.uint32)])
def test_width_of_the_ids(tokens, tmp_path, size, dtype):
    vocab = Vocab([*SPECIALS, *(f"w{i}" for i in range(size - 10)), "cat"])
    folder, _, _ = encode(tokens[1], tmp_path, vocab)
    flat = Documents.open(folder, ["train"]).joined()[:]
    assert flat.dtype == dtype
    assert flat.max() == size - 1  # the id of "cat" is the last


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


def test_texts_that_were_tokenised_before_are_taken_over_if_they_are_sound(tokens, tmp_path, monkeypatch):
    folder, _, record = tokens
    shard = folder / "part-00000.tokens.arrow"
    known = KnownPart(str(shard), record.files[shard.name].sha256)
    source = write_corpus(tmp_path / "grown", "part-00007", TEXTS, ["neg"] * 4, ["valid"] * 4)
    again = TokenizeSpec(source, str(tmp_path / "again"), "en", "default", known=known)
    with monkeypatch.context() as patch:
        patch.setattr(tokenise, "token_table", lambda *_: pytest.fail("tokenised again"))
        taken = tokenize_part(again)
    assert (tmp_path / "again" / "part-00007.tokens.arrow").stat().st_ino == shard.stat().st_ino
    assert (taken.part, taken.documents, taken.tokens) == ("part-00007", record.documents, record.tokens)
    for harm in (lambda: shard.write_bytes(shard.read_bytes()[::-1]), shard.unlink):
        harm()
        (tmp_path / "again" / "part-00007.json").unlink()
        assert tokenize_part(again).tokens == record.tokens
        assert read_ipc(tmp_path / "again" / "part-00007.tokens.arrow")["tokens"].to_pylist() == Tokenizer()(TEXTS)


def test_the_record_comes_last(tmp_path, monkeypatch):
    folder = tmp_path / "tokens"
    spec = TokenizeSpec(write_corpus(tmp_path / "corpus", "part-00000", TEXTS), str(folder), "en", "default")

    def failing(place, table):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenise, "write_ipc", failing)
    with pytest.raises(OSError, match="No space"):
        tokenize_part(spec)
    assert not (folder / "part-00000.json").exists()


@pytest.mark.parametrize("texts", [[], [""], ["\x00"], ["", "  \n "]])
def test_parts_with_next_to_nothing(tmp_path, texts):
    spec = TokenizeSpec(write_corpus(tmp_path / "corpus", "part-00000", texts), str(tmp_path / "tokens"), "en", "default")
    record = tokenize_part(spec)
    assert record.documents == len(texts)
    ids, _, encoded = encode(spec, tmp_path, Vocab(SPECIALS), ())
    assert encoded.documents == len(texts)
    assert [length >= 1 for length in Documents.open(ids, ["train"]).lengths] == [True] * len(texts)


LONG = "\n\n".join(f"Thousands wanted nothing better than number {i} of ours !!! " + "so " * (i % 4) + "WORDS" for i in range(300))


@pytest.mark.parametrize("longest", [200, 5000])
def test_a_long_document_in_pieces_has_the_tokens_of_the_whole(tmp_path, longest):
    texts = ["short", LONG, "end", LONG[:6000]]
    source = write_corpus(tmp_path / "corpus", "part-00000", texts, ["a", "b", "a", "b"], ["train", "test", "train", "train"], longest)
    assert len(list(read_documents(source))) > len(texts)
    spec = TokenizeSpec(source, str(tmp_path / "tokens"), "en", "default")
    record = tokenize_part(spec)
    made = Tokenizer()(texts)
    assert record.documents == 4
    assert read_ipc(tmp_path / "tokens" / "part-00000.tokens.arrow")["tokens"].to_pylist() == made
    assert as_counter(read_ipc(count(tmp_path / "tokens", spec, ("test",)))) == Counter(made[1])
    documents = Documents.open(encode(spec, tmp_path, Vocab(SPECIALS), ("a", "b"))[0], ["train", "test"])
    assert documents.lengths.tolist() == [len(made[i]) for i in (0, 2, 3, 1)]
    assert documents.labels.tolist() == [0, 0, 1, 1]


def test_documents_set_aside_have_no_tokens_and_no_ids(tmp_path):
    texts = ["one", LONG, "three", "four"]
    source = write_corpus(tmp_path / "corpus", "part-00000", texts, ["a", "b", "a", "b"], longest=700)
    made = Tokenizer()(texts)
    for exclude in ((1,), (0, 3), (3, 0, 2)):
        spec = TokenizeSpec(source, str(tmp_path / f"tokens{exclude}"), "en", "default", exclude)
        record = tokenize_part(spec)
        kept = [i for i in range(4) if i not in exclude]
        shard = read_ipc(Path(spec.folder) / "part-00000.tokens.arrow")
        assert shard["tokens"].to_pylist() == [made[i] if i in kept else None for i in range(4)]
        assert (record.documents, record.tokens) == (4, sum(len(made[i]) for i in kept))
        assert as_counter(read_ipc(count(Path(spec.folder), spec, ("train",)))) == Counter(t for i in kept for t in made[i])
        (tmp_path / "ids" / "part-00000.json").unlink(missing_ok=True)
        documents = Documents.open(encode(spec, tmp_path, Vocab(SPECIALS), ("a", "b"))[0], ["train"])
        assert documents.ids == [f"part-00000/{i}" for i in kept]
        assert documents.lengths.tolist() == [len(made[i]) for i in kept]


def test_specs_travel_as_pickles_of_strings(tokens):
    _, spec, record = tokens
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert pickle.loads(pickle.dumps(record)) == record
    assert len(pickle.dumps(spec)) < 400


def test_a_label_that_is_none_of_the_corpus_is_named(tokens, tmp_path):
    with pytest.raises(UserError, match=r"part-00000\.parquet: label 'neg' is none of the 1 labels"):
        encode(tokens[1], tmp_path, Vocab(SPECIALS), labels=("pos",))


def test_shards_of_another_corpus_are_refused(tokens, tmp_path):
    other = write_corpus(tmp_path / "other", "part-00000", TEXTS[:2], LABELS[:2])
    with pytest.raises(UserError, match="2 documents, but 4 in its token shard"):
        encode(replace(tokens[1], source=other), tmp_path, Vocab(SPECIALS))


def test_a_part_that_is_none_is_named(tmp_path):
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"part-00000\.parquet: not a part of a corpus") as caught:
        tokenize_part(TokenizeSpec(str(path), str(tmp_path), "en", "default"))
    assert "\n" not in str(caught.value)
    pq.write_table(pa.table({"words": ["x"]}), path)
    with pytest.raises(UserError, match=r"part-00000\.parquet: not a part of a corpus"):
        tokenize_part(TokenizeSpec(str(path), str(tmp_path), "en", "default"))


def test_a_vocabulary_written_anew_is_read_anew(tokens, tmp_path):
    encode(tokens[1], tmp_path, Vocab(SPECIALS))
    (tmp_path / "ids" / "part-00000.json").unlink()
    folder, _, _ = encode(tokens[1], tmp_path, Vocab([*SPECIALS, "cat"]))
    assert 9 in Documents.open(folder, ["train"]).joined()[:]


def table(counts):
    return pa.table({"token": pa.array(counts, pa.string()), "count": pa.array(counts.values(), pa.int64())})


def test_vocabulary_of_several_parts_in_a_tree(tmp_path):
    folder, places = tmp_path / "tokens", []
    for number, text in enumerate(["a b b", "b c", "c c d"]):
        spec = TokenizeSpec(write_corpus(tmp_path / "corpus", f"part-{number:05d}", [text]), str(folder), "en", "default")
        tokenize_part(spec)
        places.append(count(folder, spec, ("train",), str(number)))
    left = merge_counts(MergeSpec(tuple(places[:2]), str(folder), "left"))
    for order, name in (((left, places[2]), "x"), ((places[2], left), "y")):
        total = read_ipc(merge_counts(MergeSpec(order, str(folder), name)))
        assert total["token"].to_pylist() == ["b", "c", "xxbos", "a", "d"]  # the most frequent first, then by code point
        assert total["count"].to_pylist() == [3, 3, 3, 1, 1]
        assert build_vocab(total, VocabConfig(max_size=100, min_count=2)).tokens[9:] == ("b", "c")
        assert build_vocab(total, VocabConfig(max_size=16, min_count=1)).tokens[9:] == ("b", "c", "a", "d")
    assert len(add_counts(iter([]))) == 0


def test_a_table_of_counts_keeps_the_most_frequent_and_says_what_it_may_lack():
    first = add_counts(iter([table({"a": 9, "b": 5, "c": 4}), table({"b": 5, "d": 2, "e": 1})]), most=3)
    assert as_counter(first) == {"b": 10, "a": 9, "c": 4}
    assert first.schema.metadata[b"pruned"] == b"2"
    both = add_counts(iter([first, table({"d": 7}), first]), most=3)
    assert both.schema.metadata[b"pruned"] == b"12"  # d lacks 2 + 2 at most, and c was left out twice with 4
    assert as_counter(both) == {"b": 20, "a": 18, "d": 7}


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


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
DOCUMENTS = st.lists(st.tuples(st.lists(WORDS, max_size=8).map(" ".join), st.sampled_from(["neg", "pos", None])), max_size=6)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_round_trip_text_to_shards_to_ids_to_tokens(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("round")
    specs = []
    for number, part in enumerate(parts):
        source = write_corpus(folder / "corpus", f"part-{number:05d}", [text for text, _ in part], [label for _, label in part])
        specs.append(TokenizeSpec(source, str(folder / "tokens"), "en", "default"))
        tokenize_part(specs[-1])
    made = Tokenizer()([text for part in parts for text, _ in part])
    places = [count(folder / "tokens", spec, ("train",), str(number)) for number, spec in enumerate(specs)]
    total = read_ipc(merge_counts(MergeSpec(tuple(places), str(folder), "total")))
    assert as_counter(total) == Counter(token for document in made for token in document)
    vocab = build_vocab(total, VocabConfig(max_size=10**6, min_count=1))
    for spec in specs:
        encode(spec, folder, vocab)
    documents = Documents.open(folder / "ids", ["train"])
    assert [vocab.decode(documents.doc(i)) for i in range(len(documents))] == made
    assert documents.labels.tolist() == [{"neg": 0, "pos": 1, None: -1}[label] for part in parts for _, label in part]
