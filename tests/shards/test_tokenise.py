"""Token shards of corpus parts."""

import pickle
from collections import Counter
from pathlib import Path

import pytest

from tests.shards.parts import TEXTS, as_counter, count, encode, write_corpus
from ulmfit.shards import tokenise
from ulmfit.shards.arrow import read_ipc
from ulmfit.shards.corpus_part import read_documents
from ulmfit.shards.documents import Documents
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.store.artifacts import KnownPart
from ulmfit.text.rules import SPECIALS
from ulmfit.text.tokenizer import TOKENS, Tokenizer
from ulmfit.text.vocab import Vocab


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
