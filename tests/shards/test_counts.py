"""Tables of counts, and the vocabulary that is chosen from them."""

from collections import Counter

from tests.shards.parts import TEXTS, as_counter, count, table, write_corpus
from ulmfit.config import VocabConfig
from ulmfit.shards.arrow import read_ipc
from ulmfit.shards.counts import MergeSpec, add_counts, build_vocab, merge_counts
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.text.tokenizer import Tokenizer


def test_counts_are_those_of_the_splits(tokens):
    folder, spec, _ = tokens
    made = Tokenizer()(TEXTS)
    assert as_counter(read_ipc(count(folder, spec, ("train", "unlabelled")))) == Counter(t for i in (0, 1, 2) for t in made[i])
    assert as_counter(read_ipc(count(folder, spec, ("test",), "1"))) == Counter(made[3])
    assert as_counter(read_ipc(count(folder, spec, ("valid",), "2"))) == Counter()


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
