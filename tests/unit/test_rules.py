"""The two rule sets, as tables: a text and its tokens, `xxbos` left out, a paragraph's end shown as ¶."""

import time

import pytest

from ulmfit.text.rules import MAJ, REP, RULES, SPECIALS, UP, case_mark, cut_at_white_space, decode_entities, elongation, fold_repetition
from ulmfit.text.tokenizer import Tokenizer

CASE = [
    ("Hello world", "xxmaj hello world"),
    ("HELLO", "xxup hello"),
    ("A cat, a CAT", "xxmaj a cat , a xxup cat"),
    ("I am", "i am"),
    ("I'M", "i 'm"),
    ("DON'T", "xxup do xxup n't"),
    ("JOHN'S", "xxup john 's"),
    ("IT’S", "xxup it ’s"),
    ("McDonald's iPhone", "xxmaj mcdonald 's iphone"),
    ('"Hello," he said', '" xxmaj hello , " he said'),
    ("(Paris) [NASA]", "( xxmaj paris ) [ xxup nasa ]"),
    ("“Élan”", "“ xxmaj élan ”"),
    ("ÉCOLE Ärger ÖL", "xxup école xxmaj ärger xxup öl"),
    ("Привет МИР", "xxmaj привет xxup мир"),
    ("ΑΘΗΝΑΣ", "xxup αθηνας"),
    ("İstanbul ǅep", "xxmaj i̇stanbul xxmaj ǆep"),
    ("日本語 テスト", "日本語 テスト"),
    ("U.S. COVID-19", "xxup u.s. xxup covid-19"),
]
ELONGATION = [
    ("sooo", "s xxrep 3 o"),
    ("soo", "soo"),
    ("NOOO", "xxup n xxrep 3 o"),
    ("Noooooo!", "xxmaj n xxrep 6 o !"),
    ("NOOOoooo", "xxmaj n xxrep 7 o"),
    ("OOOh", "xxmaj xxrep 3 o h"),
    ("ÉÉÉ", "xxup xxrep 3 é"),
    ("(sooo)", "( s xxrep 3 o )"),
    ("!!!! ??", "xxrep 4 ! ? ?"),
    ("no!!!no", "no xxrep 3 ! no"),
    ("😂😂😂 $$$", "xxrep 3 😂 xxrep 3 $"),
    ("1000000 1999", "1000000 1999"),
    ("www WWW", "www xxup www"),
    ("Henry VIII, III", "xxmaj henry xxup viii , xxup iii"),
    ("XXX XXXX", "xxup xxx xxup xxrep 4 x"),
    ("http://www.example.com/aaa!!!", "http://www.example.com/aaa ! ! !"),
    ("me@zooom.com", "me@zooom.com"),
]
RULERS = [
    ("-----", "---"),
    ("---", "---"),
    ("===== **** ___ ~~~~ ###", "=== *** ___ ~~~ ###"),
    ("wait.....what", "wait ... what"),
    ("wait... what", "wait ... what"),
    ("well... --", "well ... --"),
    ("—————", "xxrep 5 —"),
]
REPETITION = [
    ("no no no", "xxwrep 3 no"),
    ("no no", "no no"),
    ("Ha ha ha HA", "xxwrep 4 xxmaj ha"),
    ("HA HA HA!", "xxwrep 3 xxup ha !"),
    ("ha Ha HA", "xxwrep 3 ha"),
    ('"No no no," he said', '" xxwrep 3 xxmaj no , " he said'),
    ("(ha ha ha)", "( xxwrep 3 ha )"),
    ("a ha ha ha b", "a xxwrep 3 ha b"),
    ("ha\nha\nha", "xxwrep 3 ha"),
    ("ha\n\nha ha", "ha ¶ ha ha"),
    ("ha-ha-ha", "ha - ha - ha"),
    ("ha, ha, ha", "ha , ha , ha"),
    ("hahaha", "hahaha"),
    ("1 1 1", "1 1 1"),
    ("sooo sooo sooo", "s xxrep 3 o s xxrep 3 o s xxrep 3 o"),
    ("ooo o o", "xxrep 3 o o o"),
    ("da da da dum dum dum", "xxwrep 3 da xxwrep 3 dum"),
]
MARKUP = [
    ("", ""),
    (" \t\n ", ""),
    ("&amp; &lt;b&gt; caf&eacute;", "& < b > café"),
    ("&amp;amp; &amp;lt; &amp;amp;gt;", "& < >"),
    ("&amp;amp;amp;lt;", "& lt ;"),
    ("don&#39;t &#x1F600;", "do n't 😀"),
    ("&notable; &bogus;", "& notable ; & bogus ;"),
    ("world #39;s didn #39;t", "world 's did n't"),
    ("AT amp;T Marsh  amp; Co", "xxup at&t xxmaj marsh & xxmaj co"),
    ("an  quot;open quot; box", 'an " open " box'),
    ("a lamp; then", "a lamp ; then"),
    ("a&nbsp;b", "a b"),
    ("one<br />two<br/>three<BR>four", "one two three four"),
    ("one<br /><br />two", "one ¶ two"),
    ("one&lt;br&gt;two", "one two"),
    ("\n\na\n \n\t\nb\n", "a ¶ b"),
    ("a\r\n\r\nb\r\rc\rd", "a ¶ b ¶ c d"),
    ("state @-@ owned", "state - owned"),
    ("1 @,@ 000 3 @.@ 5", "1,000 3.5"),
    ("a@-@b @ home", "a@-@b @ home"),
    ("x\ud800y", "x \ufffd y"),
]
SPECIAL = [
    ("the <unk> of", "the xxunk of"),
    ("<unk> <unk> <unk>", "xxunk xxunk xxunk"),
    ("<unk>-like(<unk>)", "xxunk -like ( xxunk )"),
    ("xxunk", "xx unk"),
    ("xxunk <unk> xxmaj xxunk", "xx unk xxunk xx maj xx unk"),
    ("<unk>xxunk xxunk<unk>", "xxunk xx unk xx unk xxunk"),
    ("XXMAJ Xxup", "xxup xx maj xxmaj xx up"),
    ("(xxmaj) 'xxup'", "( xx maj ) ' xx up '"),
    ("xxbos-xxeos", "xx bos - xx eos"),
    ("&#120;xmaj &amp;#120;xup", "xx maj xx up"),
    ("xxrep 3 o", "xx rep 3 o"),
    ("!!!xxpad!!!", "xxrep 3 ! xx pad xxrep 3 !"),
    ("oooxxup", "xxrep 3 o xx up"),
    ("xxun\u212a", "xx unk"),
    ("http://xxmaj", "http://xxmaj"),
    ("xxmajor", "xxmajor"),
]

# The tokens that fastai 2.8.12 gave for these texts.
FASTAI = [
    ("", ""),
    ("  a", "a"),
    ("I'M SHOUTING", "xxup i 'm xxup shouting"),
    ("I'd A A. U.S.", "xxmaj i 'd a xxup a. xxup u.s ."),
    ('iPhone McDonald "Hello É', 'iphone mcdonald " hello é'),
    ("1999 1000000", "1 xxrep 3 9 1 xxrep 6 0"),
    ("Ha ha ha HA HA HA", "xxmaj ha ha ha xxwrep 3 xxup ha"),
    ("no no no!", "xxwrep 3 no !"),
    ("a a a\nb b b b", "xxwrep 3 a \n b xxwrep 3 b"),
    ("word word word word", "xxwrep 4 word"),
    ("aaa AAA aaAA", "xxrep 3 a xxrep 3 a aaaa"),
    ("a lamp; then", "a l & then"),
    ("xxmaj XXUP xxrep 3", "xxmaj xxup xxup xxrep 3"),
    ("<unk> <unk>", "xxunk xxunk"),
    ("a \n b\n\n c", "a \n▁ b \n\n▁ c"),
    ("a\tb", "a \t b"),
    ("a \u00a0 b", "a \u00a0▁ b"),
    ("ok\u2003x", "ok \u2003 x"),
    ("\x1c a", "a"),
    ("x\x00y", "x\x00y"),
    ("<br /><br />", ""),
    ("one<br /><br />two", "one \n\n two"),
    ("&amp;amp; &lt;b&gt; #39;s quot;", "xxrep 3 & < b > 's '"),
    ("... ......", "… … …"),
    ('\\n\\n \\" /x/ # #tag', '" / x / # # tag'),
    ("@-@ a @-@ b @.@ c", "@-@ a - b.c"),
    ("ₓₓₓ 😂😂😂 😂", "xxrep 3 ₓ xxrep 3 😂 😂"),
    ("http://www.example.com/a?b=c#d", "http : / / xxrep 3 w .example.com / a?b = c # d"),
    ("C++ c#", "xxup c++ c #"),
    ("ß ẞ İ", "ß ß i̇"),
    ("don't", "do n't"),
    ("it 's he 's", "it 's he 's"),
    # spaCy's exceptions, alone and across a space
    ("' ''", "' ''"),
    ("'' '' '", "'' '' '"),
    ("( :) ;) : 3", "( :) ;) : 3"),
    (": (( :)", ": ( ( :)"),
    (":p:x", ":p :x"),
    ("( :p:x", "( : p :x"),
    ("(:'- ))", "( : ' - ) )"),
    ("a ( :p:x b =) 's", "a ( : p :x b =) 's"),
    ("''", "''"),
    ("a. .", "a. ."),
    ("10am 10a.m .", "10 am 10a.m ."),
    ("HELLO. World,", "xxup hello . xxmaj world ,"),
]


TOKENIZERS = {name: Tokenizer(rules=name) for name in RULES}


def flat(rules: str, text: str) -> list[str]:
    return TOKENIZERS[rules]([text])[0]


@pytest.mark.parametrize(("text", "tokens"), CASE + ELONGATION + RULERS + REPETITION + MARKUP + SPECIAL)
def test_default(text, tokens):
    assert flat("default", text) == ["xxbos", *("\n" if token == "¶" else token for token in tokens.split(" ") if token)]


@pytest.mark.parametrize(("text", "tokens"), FASTAI)
def test_fastai(text, tokens):
    assert flat("fastai", text) == ["xxbos", *(token for token in tokens.split(" ") if token)]


@pytest.mark.parametrize("special", SPECIALS)
@pytest.mark.parametrize("form", ["{}", "({})", '"{}"', "{}.", "'{}'s", "a {} b", "{}!!!", "-----{}", "<unk>{}", "&lt;{}&gt;"])
def test_no_special_token_passes_in_any_dress(special, form):
    for written in (special, special.upper(), special.title(), f"&#120;{special[1:]}"):
        tokens = flat("default", form.format(written))
        made_by_rules = [UP, MAJ, REP, "xxunk"] if "<unk>" in form else [UP, MAJ, REP]
        assert special not in tokens[1:] or special in made_by_rules
        assert "".join(token for token in tokens[1:] if token not in SPECIALS).count(special) == 1, tokens


@pytest.mark.parametrize(
    ("word", "mark"),
    [("I", ()), ("A", (MAJ,)), ("OK", (UP,)), ("ok", ()), ("'M", ()), ("1ST", (UP,)), ("4K", (MAJ,)), ("Ⓐ", (MAJ,)), ("𝐀", ()), ("!", ())],
)
def test_case_mark(word, mark):
    assert case_mark(word) == mark


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


def test_a_paragraph_ends_only_where_another_begins():
    assert cut_at_white_space("\n\n a \n\n\n\n b\n\n") == ["a", "\n", "b"]
    assert cut_at_white_space("\n \n") == []


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "text", ["()" * 3000, ".," * 3000, "\n" + " " * 300_000, "a " * 30_000, "&amp;" * 20_000, "<br " * 20_000, "' " * 9000]
)
def test_time_grows_with_the_length_of_the_text(rules, text):
    started = time.process_time()
    flat(rules, text)
    assert time.process_time() - started < 5  # the square of the length would take minutes
