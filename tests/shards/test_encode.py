"""Id shards of token shards, and the way from text to ids and back."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shards.parts import LABELS, TEXTS, as_counter, count, encode, write_corpus
from ulmfit.config import VocabConfig
from ulmfit.errors import UserError
from ulmfit.shards.arrow import read_ipc
from ulmfit.shards.counts import MergeSpec, build_vocab, merge_counts
from ulmfit.shards.documents import Documents
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.text.rules import SPECIALS
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab


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


def test_a_label_that_is_none_of_the_corpus_is_named(tokens, tmp_path):
    with pytest.raises(UserError, match=r"part-00000\.parquet: label 'neg' is none of the 1 labels"):
        encode(tokens[1], tmp_path, Vocab(SPECIALS), labels=("pos",))


def test_shards_of_another_corpus_are_refused(tokens, tmp_path):
    other = write_corpus(tmp_path / "other", "part-00000", TEXTS[:2], LABELS[:2])
    with pytest.raises(UserError, match="2 documents, but 4 in its token shard"):
        encode(replace(tokens[1], source=other), tmp_path, Vocab(SPECIALS))


def test_a_vocabulary_written_anew_is_read_anew(tokens, tmp_path):
    encode(tokens[1], tmp_path, Vocab(SPECIALS))
    (tmp_path / "ids" / "part-00000.json").unlink()
    folder, _, _ = encode(tokens[1], tmp_path, Vocab([*SPECIALS, "cat"]))
    assert 9 in Documents.open(folder, ["train"]).joined()[:]


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
