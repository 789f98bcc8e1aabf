"""The tokenizer: its contract, and the fast path held to the plain one."""

import json
import logging
import os
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import spacy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.oracles.tokenizer import tokenize_reference
from ulmfit import Tokenizer
from ulmfit.errors import UserError
from ulmfit.text import languages
from ulmfit.text import tokenizer as module
from ulmfit.text.languages import WORD, Language, Shapes
from ulmfit.text.rules import MAJ, REP, RULES, SPECIALS, UP, WREP

TOKENIZERS = {name: Tokenizer(rules=name) for name in RULES}
ENGLISH, SPACY = Language("en"), spacy.blank("en").tokenizer
SPLIT = ENGLISH.split

WRITTEN = (
    "ha Ha HA no sooo NOOO I I'M don't it 's 's '' ' \" :) ;) :( (: :(( (( )) <3 a.m . .. ... ----- === !!! ??? xxmaj XXUP xxunk <unk> xxrep 3 1999 "
    "&amp; &amp;lt; amp; #39; #39;s &#120; <br> <br/> @-@ @,@ www http:// a@b.c U.S. VIII É é İ ǅ ß ς 中文 😂 ▁ * ~~~ _ __ ( ) [ ] / # \\ \\n $ % 8 D 3 o"
)
SNIPPETS = st.sampled_from(WRITTEN.split())
GAPS = st.sampled_from(["", "", " ", " ", " ", "  ", "\n", "\n\n", " \n ", "\t", "\r\n", "\u00a0", " \u2003", "\x1c", "\x85", "<br />"])
PIECED = st.lists(st.tuples(SNIPPETS, GAPS), max_size=25).map(lambda pairs: "".join(part for pair in pairs for part in pair))
ANY = st.text(st.characters(), max_size=40)
RUNS = st.lists(st.tuples(st.characters(), st.integers(1, 5)), max_size=12).map(
    lambda runs: "".join(character * n for character, n in runs)
)
TEXTS = st.one_of(PIECED, ANY, RUNS)


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=400, deadline=None)
@given(text=TEXTS)
@example(text="(" * 700 + " x")
@example(text="' ''")
@example(text="( :p:x")
@example(text="a \x1c\x85 \n b")
def test_fast_is_the_reference(rules, text):
    expected = tokenize_reference(text, rules, SPLIT)
    assert TOKENIZERS[rules]([text])[0] == expected
    assert TOKENIZERS[rules]([text])[0] == expected  # from memory


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_what_holds_of_default_tokens(text):
    tokens = TOKENIZERS["default"]([text])[0]
    assert tokens[0] == "xxbos"
    assert not {"xxbos", "xxpad", "xxeos", "xxfld"} & set(tokens[1:])
    assert "<unk>" in text or "&" in text or "lt;" in text or "xxunk" not in tokens
    assert all(token and (token == "\n" or not any(map(str.isspace, token))) for token in tokens)
    assert all(token == token.lower() for token in tokens)
    for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in (UP, MAJ):
            assert after == REP or (after and after not in SPECIALS)
        if token in (REP, WREP):
            assert after.isdecimal() and int(after) >= 3
    assert "\n" not in (tokens[-1], tokens[min(1, len(tokens) - 1)])


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, max_size=5))
@example(texts=["", " ", "a", "\x02 b \x03", "\x1c", "a\n\n"])
def test_in_columns_and_in_batches_it_is_the_same(rules, texts, monkeypatch):
    expected = [tokenize_reference(text, rules, SPLIT) for text in texts]
    assert TOKENIZERS[rules](texts) == expected
    for few, batch in ((0, 10**6), (0, 20)):
        monkeypatch.setattr(module, "FEW", few)
        monkeypatch.setattr(module, "BATCH", batch)
        assert TOKENIZERS[rules](texts) == expected
        assert TOKENIZERS[rules].columns(texts).to_pylist() == expected
    monkeypatch.undo()


def test_columns_have_a_dictionary_in_order_of_first_occurrence_whatever_was_seen_before(monkeypatch):
    texts = ["the cat sat", "", "the dog sat on the cat"] * 3
    expected = ["xxbos", "the", "cat", "sat", "dog", "on"]
    assert Tokenizer().columns(texts).values.dictionary.to_pylist() == expected
    used = Tokenizer()
    used(["on dog sat the cat"])
    monkeypatch.setattr(module, "BATCH", 12)
    assert used.columns(texts).values.dictionary.to_pylist() == expected
    assert used.columns([]).type == module.TOKENS
    assert len(used.columns([])) == 0


# ------------------------------------------------------------------------------------------------------------- shapes

AFFIXES = "km 's can not U.S. am pm 10 1999 www http :// .com e.g. Mr. - -- ' \" ( ) , . ? é № $ US% co o' clock"
CHUNKS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=20),
    st.text("abkmsXYZ'’.,-/:@()\"0179_&$%é", min_size=1, max_size=16),
    st.lists(st.sampled_from(AFFIXES.split()), min_size=1, max_size=6).map("".join),
)


@settings(max_examples=1500, deadline=None)
@given(CHUNKS)
@example("192.168.1.1")
@example("[http://212.77.1.245/news]")
@example("5km")
@example("Maïga's")
def test_a_chunk_split_by_its_shape_is_split_as_spacy_splits_it(chunk):
    if chunk.split() == [chunk]:
        assert ENGLISH.split_all([chunk, chunk]) == [SPLIT(chunk)] * 2
        assert ENGLISH.split_one(chunk) == SPLIT(chunk)


def test_many_chunks_at_once_do_not_see_each_other(monkeypatch):
    monkeypatch.setattr(languages, "JUDGED_BY_SHAPE", frozenset())
    chunks = [case for case in SPACY.rules if case.split() == [case]] + [":", ")", "can", "not", "a.m", ".", "'", "''", "(", ":p:x"]
    for lang in ("en", "de", "fr", "ru"):
        language = Language(lang)
        assert language.split_all(chunks) == [language.split(chunk) for chunk in chunks]


@pytest.mark.parametrize("text", ["one two", " one", "one ", "one\ntwo", "can not", ": )", "\u3000", "", "日本 x"])
@pytest.mark.parametrize("lang", ["en", "fr", "zh"])
def test_one_text_with_white_space_is_split_as_spacy_splits_it(lang, text):
    language = Language(lang)
    assert language.split_one(text) == language.split(text)


def test_a_shape_keeps_what_spacy_looks_at():
    shapes = Shapes(SPACY)
    assert shapes.of("Hornblower's,") == "Qqqqqqqqqq's,"
    assert shapes.of("cannot") == "cannot"
    assert shapes.of("Hornblower") == WORD
    assert shapes.of("hornblower-like") == "qqqqqqqqqq-qqqq"
    assert shapes.of("45,408") == shapes.of("31,977") == "77,777"
    assert shapes.of("192.168.1.1") == "192.168.1.1"


@pytest.mark.parametrize("rules", RULES)
def test_forgetting_makes_no_difference(rules, monkeypatch):
    texts = ["one two three four five six", "six five four :) a.m. don't", "one " + "x" * 100, "", "four five"] * 2
    expected = TOKENIZERS[rules](texts)
    for remembered, tokens in ((3, 10**6), (10**6, 12), (3, 12)):
        monkeypatch.setattr(module, "REMEMBERED", remembered)
        monkeypatch.setattr(module, "MOST_TOKENS", tokens)
        small = Tokenizer(rules=rules)
        assert [made for text in texts for made in small([text])] == expected
        assert small.columns(texts).to_pylist() == expected


@pytest.fixture
def split(monkeypatch):
    """The chunks that spaCy is given."""
    given, real = [], Language.split_all
    monkeypatch.setattr(Language, "split_all", lambda self, chunks: given.extend(chunks) or real(self, chunks))
    return given


def test_chunks_that_come_again_are_not_split_again_until_they_are_forgotten(monkeypatch, split):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    small = Tokenizer()
    small(["one two three four"])
    assert split == ["one", "two", "three", "four"]
    split.clear()
    small(["one two"])
    assert split == []
    for text in ("five six seven eight", "nine ten eleven twelve", ""):
        small([text])
    split.clear()
    small(["one two"])
    assert split == ["one", "two"]


@pytest.mark.parametrize("rules", RULES)
def test_other_languages(rules):
    assert Tokenizer("de", rules)(["z.B. Grüße"])[0][-1] == "grüße"
    chinese = "我爱北京 天安门"
    split = Language("zh").split
    assert Tokenizer("zh", rules)([chinese])[0] == tokenize_reference(chinese, rules, split)
    assert "爱" in Tokenizer("zh", rules)([chinese])[0]


def test_no_texts_and_no_text():
    assert TOKENIZERS["default"]([]) == []
    assert TOKENIZERS["default"](["", " "]) == [["xxbos"], ["xxbos"]]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Tokenizer("qq"), "'qq' cannot be tokenised: spaCy does not have it"),
        (lambda: Tokenizer(""), "'' cannot be tokenised"),
        (lambda: Tokenizer(rules="mine"), "no rules 'mine'; choose one of: default, fastai"),
        (lambda: TOKENIZERS["default"]("one text"), "put it into a list"),
        (lambda: TOKENIZERS["default"](["a", None]), "text 1 is no string but None"),
        (lambda: TOKENIZERS["default"]([1.5]), "text 0 is no string but 1.5"),
    ],
)
def test_mistakes_are_named_in_one_line(call, says):
    with pytest.raises(UserError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_language_that_needs_packages_says_which():
    pytest.importorskip("spacy")
    try:
        import sudachipy  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install sudachipy"):
            Tokenizer("ja")


@pytest.mark.parametrize("rules", RULES)
def test_definition_makes_the_same_tokenizer(rules):
    definition = json.loads(json.dumps(TOKENIZERS[rules].definition))
    assert set(definition) == {"lang", "rules", "rules_version", "spacy"}
    assert Tokenizer.from_definition(definition).definition == definition


def test_rules_of_another_version_are_refused_and_another_spacy_is_told(caplog):
    definition = TOKENIZERS["default"].definition
    with pytest.raises(UserError, match="version 99 of the 'default' rules"):
        Tokenizer.from_definition({**definition, "rules_version": 99})
    with caplog.at_level(logging.WARNING):
        Tokenizer.from_definition({**definition, "spacy": "2.0"})
    assert "spaCy 2.0" in caplog.text


def test_pickles_as_its_two_arguments():
    assert len(pickle.dumps(TOKENIZERS["fastai"])) < 200
    again = pickle.loads(pickle.dumps(TOKENIZERS["fastai"]))
    assert (again.lang, again.rules) == ("en", "fastai")
    assert again(["Hello you"]) == TOKENIZERS["fastai"](["Hello you"])


@pytest.mark.parametrize("rules", RULES)
def test_real_text(rules):
    if not os.environ.get("ULMFIT_DATA"):
        pytest.skip("ULMFIT_DATA names no folder of corpora")
    for corpus in ("imdb", "ag_news"):
        texts = pq.read_table(Path(os.environ["ULMFIT_DATA"]) / corpus / "train.parquet", columns=["text"])["text"].to_pylist()[::400][:40]
        assert TOKENIZERS[rules](texts) == [tokenize_reference(text, rules, SPLIT) for text in texts]


def test_spacy_forgets_with_the_memory(monkeypatch):
    small = Tokenizer()
    made, real = [], spacy.blank
    monkeypatch.setattr(spacy, "blank", lambda lang: made.append(lang) or real(lang))
    monkeypatch.setattr(module, "MOST_TOKENS", 5)  # two more than the three special tokens that are there
    small(["one"])
    small(["one two three,"])
    assert made == []
    assert small(["three,"]) == [["xxbos", "three", ","]]
    assert made == ["en"]  # else its store of words would grow without end
