"""The two rule sets: every edge case; and the fast path held to the plain one, on made-up text and on real corpora."""

import os
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.tokenizer import tokenize_reference
from tests.text.edge_cases import DEFAULT, FASTAI
from ulmfit.text.characters import decode_entities, mend_characters, mend_entities
from ulmfit.text.cutting import cut_long_chunk, cut_long_runs
from ulmfit.text.rules import MAJ, REP, RULES, SPECIALS, UP, WREP, case_mark, cut_at_white_space, default_plain, elongation, fold_repetition
from ulmfit.text.tokenizer import Tokenizer

TOKENIZERS = {name: Tokenizer(rules=name) for name in RULES}


def rows(tables: dict[str, list[tuple[str, str]]]) -> list:
    return [
        pytest.param(text, tokens, id=f"{name} {number}") for name, table in tables.items() for number, (text, tokens) in enumerate(table)
    ]


def shown(tokens: str) -> list[str]:
    return ["xxbos", *("\n" if token == "¶" else token for token in tokens.split(" ") if token)]


def flat(rules: str, text: str) -> list[str]:
    return TOKENIZERS[rules]([text])[0]


@pytest.mark.parametrize(("text", "tokens"), rows(DEFAULT))
def test_default(text, tokens):
    assert flat("default", text) == shown(tokens)
    assert tokenize_reference(text, "default", TOKENIZERS["default"]._language.split) == shown(tokens)


@pytest.mark.parametrize(("text", "tokens"), rows(FASTAI))
def test_fastai(text, tokens):
    assert flat("fastai", text) == shown(tokens)
    assert tokenize_reference(text, "fastai", TOKENIZERS["fastai"]._language.split) == shown(tokens)


def test_the_whole_tables_at_once():
    for rules, tables in (("default", DEFAULT), ("fastai", FASTAI)):
        cases = [case for table in tables.values() for case in table]
        assert len(cases) >= 60
        assert TOKENIZERS[rules]([text for text, _ in cases]) == [shown(tokens) for _, tokens in cases]


@pytest.mark.parametrize("special", SPECIALS)
@pytest.mark.parametrize(
    "form", ["{}", "({})", '"{}"', "{}.", "'{}'s", "a {} b", "{}!!!", "-----{}", "<unk>{}", "&lt;{}&gt;", "\\{}", "\ufeff{}"]
)
def test_no_special_token_passes_in_any_dress(special, form):
    for written in (special, special.upper(), special.title(), f"&#120;{special[1:]}", f"{special[:3]}\u00ad{special[3:]}"):
        tokens = flat("default", form.format(written))
        made_by_rules = [UP, MAJ, REP, "xxunk"] if "<unk>" in form else [UP, MAJ, REP]
        assert special not in tokens[1:] or special in made_by_rules
        assert "".join(token for token in tokens[1:] if token not in SPECIALS).count(special) == 1, tokens


@pytest.mark.parametrize(
    ("word", "mark"),
    [
        ("I", ()),
        ("A", (MAJ,)),
        ("OK", (UP,)),
        ("ok", ()),
        ("'M", ()),
        ("’S", ()),
        ("'LL", (UP,)),
        ("'Em", (MAJ,)),
        ("1ST", (UP,)),
        ("4K", (MAJ,)),
        ("Ⓐ", (MAJ,)),
        ("𝐀", ()),
        ("ℝ", ()),
        ("ℝn", ()),
        ("𝐀a", ()),
        ("Élan", (MAJ,)),
        ("ǅa", (MAJ,)),
        ("Word", (MAJ,)),
        ("WorD", (MAJ,)),
        ("", ()),
        ("!", ()),
    ],
)
def test_case_mark(word, mark):
    assert case_mark(word) == mark


@pytest.mark.parametrize(
    ("chunk", "plain"),
    [
        ("word", True),
        ("word,", True),
        ("Größe", True),
        ("10,000", True),
        ("don't", True),
        ("a" * 512, True),
        ("a" * 513, False),
        ("DON'T", False),
        ("www.x", False),
        ("WWW.X", False),
        ("a@b", False),
        ("a://b", False),
        ("a\\b", False),
        ("a...", False),
        ("___", False),
        ("＿＿＿", False),
        ("<unk>", False),
        ("\n", False),
    ],
)
def test_a_plain_chunk_needs_no_rule_but_that_of_its_words(chunk, plain):
    assert default_plain(chunk) is plain


def test_the_case_mark_stands_before_the_elongation_of_its_word():
    assert [*case_mark("NOOO"), *elongation("NOOO")] == ["xxup", "n", "xxrep", "3", "o"]


@pytest.mark.parametrize(
    ("tokens", "folded"),
    [
        ("a a a", "xxwrep 3 a"),
        ("xxmaj a xxup a a", "xxwrep 3 xxmaj a"),
        ("xxup a xxup a b", "xxup a xxup a b"),
        ("xxunk xxunk xxunk", "xxunk xxunk xxunk"),
        ("xxrep 3 a a a", "xxrep 3 a a a"),
        ("xxup xxrep 3 a xxup xxrep 3 a xxup xxrep 3 a", "xxup xxrep 3 a xxup xxrep 3 a xxup xxrep 3 a"),
        (". . .", ". . ."),
        ("a a a a a b b b a a", "xxwrep 5 a xxwrep 3 b a a"),
        ("", ""),
    ],
)
def test_folding(tokens, folded):
    assert fold_repetition(tokens.split()) == folded.split()


def test_entities_are_decoded_three_times_at_most():
    assert decode_entities("&amp;" * 50_000) == "&" * 50_000
    assert decode_entities("&amp;amp;amp;amp;") == "&amp;"


def test_a_text_with_nothing_to_mend_is_itself():
    for text in ("a; b; c", "for (;;) {}", "a # b; c"):
        assert mend_entities(text) is text
    for text in ("plain", "café – “so”…", "中文"):
        assert mend_characters(text) is text


def test_a_paragraph_ends_only_where_another_begins():
    assert cut_at_white_space("\n\n a \n\n\n\n b\n\n") == ["a", "\n", "b"]
    assert cut_at_white_space("\n \n") == []


def test_long_runs_are_cut():
    assert list(map(len, cut_long_chunk("a" * 1200))) == [512, 512, 176]
    assert cut_long_chunk("a" * 512) == ["a" * 512]
    assert list(map(len, cut_long_chunk("字" * 300 + "。" + "字" * 400))) == [301, 400]
    assert flat("default", "-" * 1025) == ["xxbos", "---", "---", "-"]
    for text in ("a" * 512, " " + "a" * 512 + " b", "a b " * 300, ("a" * 511 + "\n") * 3, ""):
        assert cut_long_runs(text) == text
    for before in ("", "b ", "b\n", "b " * 400):
        assert cut_long_runs(f"{before}{'a' * 1025}") == f"{before}{'a' * 512} {'a' * 512} a"


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "text",
    [
        "()" * 3000,
        ".," * 3000,
        "\n" + " " * 300_000,
        "a " * 30_000,
        "&amp;" * 20_000,
        "amp;" * 20_000,
        " #39;" * 20_000,
        "<br " * 20_000,
        "' " * 9000,
        " @-@" * 20_000,
        "\\a" * 3000,
    ],
    ids=lambda text: repr(text[:6]),
)
def test_time_grows_with_the_length_of_the_text(rules, text):
    started = time.process_time()
    flat(rules, text)
    assert time.process_time() - started < 5  # the square of the length would take minutes


# ------------------------------------------------------------------------------------------- the fast path and the plain one

# Words, marks, entities and what looks like them, white space, controls.
WRITTEN = """ha Ha HA no sooo NOOO I I'M DON'T don't it 's 's '' ' " :) ;) :( (: :(( (( )) <3 a.m . .. ... ----- === !!! ??? xxmaj XXUP xxunk <unk>
xxrep 3 1999 s t re O d O'NEIL U.S. U.S.'S VIII xiii KKK 0xFFFF Schifffahrt \u039d\u0391\u0399\u03a3\u03a3\u03a3 \u03c3\u03c3\u03c2 \u0130 \u01c5 \u00df \u00e9 \u00c9
&amp; &amp;lt; amp; the amp;T lamp; #39; #39;s #36; #36;5 #1234; #40; #x27; #x2019; #8217; quot; lt; gt; &#120; &#150; &shy; &nbsp; &;
<br> <br/> <BR @-@ @,@ @.@ @ www http:// a@b.c * *** ***** ****** ~~~ _ ___ ( ) [ ] / # \\ \\\\ \\n $ % D 3 o aaaa bbb 10,000
\u4e2d\u6587 \u3007\u3007\u3007 \u4e09\u4e09\u4e09 \U0001f602 \u2764\ufe0f \u0939\u0941\u0924 \u2581 \u2014\u2014\u2014 \u3002 \x96 \xad \ufeff \u200b \x81 \x00 \x02 \x03 \x1b \x7f \ud800"""
GAPS = ["", "", " ", " ", " ", "  ", "\n", "\n\n", " \n ", "\t", "\r\n", "\r", "\u00a0", " \u2003", "\x1c", "\x85", "\u3000", "<br />"]
PIECED = st.lists(st.tuples(st.sampled_from(WRITTEN.split()), st.sampled_from(GAPS)), max_size=25).map(
    lambda pairs: "".join(map("".join, pairs))
)
RUNS = st.lists(st.tuples(st.characters(), st.integers(1, 5)), max_size=12).map(lambda runs: "".join(letter * n for letter, n in runs))
NEAR_MISSES = st.text("aAsSlL#39;&mp .,'’\\*-@xXiIvV<br>\n\r", max_size=40)
REPEATED = st.builds(lambda unit, gap, n: gap.join([unit] * n), st.sampled_from(WRITTEN.split()), st.sampled_from(GAPS), st.integers(2, 5))
LONG = st.builds(lambda unit, n: unit * n, st.sampled_from(["a", "ab", "-", "。字", "xxmaj", "<unk>", "!a", "#39;"]), st.integers(100, 700))
TEXTS = st.one_of(
    PIECED, PIECED, st.text(st.characters(), max_size=40), RUNS, NEAR_MISSES, st.lists(REPEATED, max_size=4).map(" ".join), LONG
)
AMONG_MANY = ["Beside a text that is long enough for what pays with much text only. " * 100]


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=500, deadline=None)
@given(text=TEXTS)
def test_the_fast_path_is_the_plain_one(rules, text):
    expected = tokenize_reference(text, rules, TOKENIZERS[rules]._language.split)
    assert flat(rules, text) == expected
    assert TOKENIZERS[rules]([text, *AMONG_MANY, text])[::2] == [expected, expected]


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_no_document_speaks_the_special_tokens(text):
    tokens = flat("default", text)
    assert not {"xxbos", "xxpad", "xxeos", "xxfld"} & set(tokens[1:])
    for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in (UP, MAJ):
            assert after == REP or (after and after not in SPECIALS)
        if token in (REP, WREP):
            assert after.isdecimal() and int(after) >= 3
    if "unk" not in text and "&" not in text and "#" not in text:
        assert "xxunk" not in tokens


def corpora() -> Iterator[tuple[str, list[str]]]:
    """Name and documents of the corpora at hand; skips where there are none."""
    if not os.environ.get("ULMFIT_DATA"):
        pytest.skip("ULMFIT_DATA names no folder of corpora")
    data = Path(os.environ["ULMFIT_DATA"])
    for name in ("imdb", "ag_news"):
        yield name, pq.read_table(data / name / "train.parquet", columns=["text"])["text"].to_pylist()
    for split in ("train", "valid", "test"):
        lines = (data / "wikitext-2-raw" / f"wiki.{split}.raw").read_text().splitlines(keepends=True)
        yield f"wikitext-2 {split}", ["".join(lines[start : start + 50]) for start in range(0, len(lines), 50)]
    yield "wikitext-103", (data / "wikitext-103" / "wiki.valid.tokens").read_text().split("\n \n")
    questions = (data / "trec" / "train_5500.label").read_text(encoding="latin-1").splitlines()
    yield "trec", [question.partition(" ")[2] for question in questions]


def hold_to_reference(rules: str, texts: list[str]) -> None:
    split = lru_cache(maxsize=500_000)(TOKENIZERS[rules]._language.split)
    for start in range(0, len(texts), 500):
        part = texts[start : start + 500]
        for text, tokens in zip(part, TOKENIZERS[rules](part), strict=True):
            assert tokens == tokenize_reference(text, rules, split), text


@pytest.mark.parametrize("rules", RULES)
def test_a_sample_of_real_text(rules):
    for _, texts in corpora():
        hold_to_reference(rules, texts[:: max(1, len(texts) // 12)])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rules", RULES)
def test_every_document_of_the_corpora(rules):
    for _, texts in corpora():
        hold_to_reference(rules, texts)
