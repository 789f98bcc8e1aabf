"""The tokenizer: its contract, and the fast path held to the plain one."""

import json
import logging
import os
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ulmfit import Tokenizer
from ulmfit.errors import UserError
from ulmfit.text import tokenizer as module
from ulmfit.text.reference import tokenize_reference
from ulmfit.text.rules import MAJ, REP, RULES, SPECIALS, UP, WREP
from ulmfit.text.tokenizer import Language, detokenise

TOKENIZERS = {name: Tokenizer(rules=name) for name in RULES}
SPLIT = Language("en").split

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
@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXTS, max_size=5))
def test_a_text_has_its_tokens_whatever_stands_beside_it(rules, texts):
    assert TOKENIZERS[rules](texts) == [TOKENIZERS[rules]([text])[0] for text in texts]


@pytest.mark.parametrize("rules", RULES)
def test_forgetting_makes_no_difference(rules, monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    small = Tokenizer(rules=rules)
    texts = ["one two three four five six", "six five four :) a.m. don't", "one " + "x" * 100]
    assert small(texts) == TOKENIZERS[rules](texts)
    assert len(small._memory) <= 3


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


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("xxbos xxmaj hello , world !", "Hello, world!"),
        ("xxup nasa ( xxmaj paris )", "NASA (Paris)"),
        ("s xxrep 3 o good", "sooo good"),
        ("xxup n xxrep 3 o", "Nooo"),
        ("wow xxrep 3 !", "wow!!!"),
        ("xxwrep 3 xxmaj ha .", "Ha ha ha."),
        ("do n't it 's", "don't it's"),
        ("one \n two", "one\ntwo"),
        ("xxmaj", ""),
        ("xxrep", ""),
        ("xxrep x y", "y"),
        ("xxpad xxpad a xxeos", "a"),
        ("", ""),
    ],
)
def test_detokenise(tokens, text):
    assert detokenise([token for token in tokens.split(" ") if token]) == text


def test_detokenise_bears_what_a_language_model_may_write():
    assert detokenise(["xxmaj"] * 50_000 + ["a"]) == "A"
    assert len(detokenise(["xxrep", "9" * 5000, "a"])) < 10_000
    assert len(detokenise(["xxwrep", "999999999", "a"])) < 10_000


@pytest.mark.parametrize("rules", RULES)
def test_real_text(rules):
    if not os.environ.get("ULMFIT_DATA"):
        pytest.skip("ULMFIT_DATA names no folder of corpora")
    for corpus in ("imdb", "ag_news"):
        texts = pq.read_table(Path(os.environ["ULMFIT_DATA"]) / corpus / "train.parquet", columns=["text"])["text"].to_pylist()[::400][:40]
        assert TOKENIZERS[rules](texts) == [tokenize_reference(text, rules, SPLIT) for text in texts]


def test_spacy_forgets_with_the_memory(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 2)
    small = Tokenizer()
    before = small._language._spacy
    small(["one two"])
    assert small._language._spacy is before
    small(["three"])
    assert small._language._spacy is not before  # else its store of words would grow without end
