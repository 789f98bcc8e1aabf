"""Languages other than English: sentences written here, and their tokens under both rule sets (`xxbos` left out).

The `fastai` rows of German, French and Russian are what fastai 2.8.12 gives: without capitals beyond ASCII, and with numbers taken
apart. Chinese and Japanese it refuses.
"""

import sys
from itertools import pairwise

import pytest

from tests.oracles.tokenizer import tokenize_reference
from ulmfit import Tokenizer
from ulmfit.errors import UserError
from ulmfit.text.languages import Language
from ulmfit.text.rules import RULES

GERMAN = [
    ("Die Schifffahrt auf der Donau war suuuper!!!", "xxmaj die xxmaj schifffahrt auf der xxmaj donau war s xxrep 3 u per xxrep 3 !"),
    (
        "„Nein, nein“, sagte Frau Müller-Lüdenscheidt, „das GEHT'S nicht!“",
        "„ xxmaj nein , nein “ , sagte xxmaj frau xxmaj müller-lüdenscheidt , „ das xxup geht's nicht ! “",
    ),
    (
        "»Ja ja JA«, z.B. um 12.30 Uhr, kostet 1.000.000 € (GRÖSSE: XL).",
        "» xxwrep 3 xxmaj ja « , z.b. um 12.30 xxmaj uhr , kostet 1.000.000 € ( xxup grösse : xxup xl ) .",
    ),
    ("Straße, STRASSE &amp; Maße; Übung", "xxmaj straße , xxup strasse & xxmaj maße ; xxmaj übung"),
]
FRENCH = [
    (
        "L'ÉCOLE d'été, c'est trèèès bien!!! Aujourd'hui il fait 25 °C.",
        "xxmaj l' xxup école d' été , c' est tr xxrep 3 è s bien xxrep 3 ! xxmaj aujourd'hui il fait 25 ° xxmaj c .",
    ),
    (
        "« Non non NON », dit-il à Élodie. Qu'est-ce que c'est ?",
        "« xxwrep 3 xxmaj non » , dit -il à xxmaj élodie . xxmaj qu' est -ce que c' est ?",
    ),
    ("J'AI vu l'iPhone de Mme. Dupont… Génial&nbsp;!", "xxmaj j' xxup ai vu l' iphone de xxmaj mme. xxmaj dupont … xxmaj génial !"),
]
RUSSIAN = [
    ("Оооочень хорошо!!! «Нет, нет», СКАЗАЛ он.", "xxmaj xxrep 4 о чень хорошо xxrep 3 ! « xxmaj нет , нет » , xxup сказал он ."),
    ("Да да ДА, это в Санкт-Петербурге, т.е. на Неве.", "xxwrep 3 xxmaj да , это в xxmaj санкт - xxmaj петербурге , т.е. на xxmaj неве ."),
    ("Ёлка стоила 1000000 руб., а iPhone — 5.", "xxmaj ёлка стоила 1000000 руб. , а iphone — 5 ."),
]
# Every character is a word, but for words and numbers of alphabets.
CHINESE = [
    ("我用iPhone和NASA的2008年数据。哈哈哈！！！", "我 用 iphone 和 xxup nasa 的 2008 年 数 据 。 xxwrep 3 哈 xxrep 3 ！"),
    ("“太好了，”他说，二〇〇〇年。————", "“ 太 好 了 ， ” 他 说 ， 二 〇 〇 〇 年 。 ———"),
    ("上海　天气很好，价格100元。\n\nPython 3 很NICE", "上 海 天 气 很 好 ， 价 格 100 元 。 ¶ xxmaj python 3 很 xxup nice"),
]
JAPANESE = [
    ("私はiPhoneを持っています。すごーーーい！！！", "私 は iphone を 持っ て い ます 。 すご xxrep 3 ー い xxrep 3 ！"),
    ("「とてもとてもとても美味しい」とNASAの人が言った。", "「 xxwrep 3 とても 美味しい 」 と xxup nasa の 人 が 言っ た 。"),
    ("２０００年に東京タワーへ行った……ははは。", "２０００ 年 に 東京 タワー へ 行っ た … … xxrep 3 は 。"),
]
DEFAULT = {"de": GERMAN, "fr": FRENCH, "ru": RUSSIAN, "zh": CHINESE, "ja": JAPANESE}
FASTAI = {
    "de": [("Die Schifffahrt, (GRÖSSE) 1000", "xxmaj die xxmaj schi xxrep 3 f ahrt , ( grösse ) 1 xxrep 3 0")],
    "fr": [("L'ÉCOLE d'Élodie, non non NON !", "xxup l' école d' élodie , non non xxup non !")],
    "ru": [("Да да да, СКАЗАЛ он", "да да да , сказал он")],
    "zh": [("我用A 哈哈哈\nNASA", "我 用 a xxrep 3 哈 \n xxup nasa")],
    "ja": [("とNASAへ 行ったーーー。", "と nasa へ 行っ た xxrep 3 ー 。")],
}
MADE: dict[tuple[str, str], Tokenizer] = {}


def tokenizer(lang: str, rules: str) -> Tokenizer:
    if lang == "ja":
        pytest.importorskip("sudachipy", reason="Japanese needs: pip install sudachipy sudachidict_core")
        pytest.importorskip("sudachidict_core", reason="Japanese needs: pip install sudachipy sudachidict_core")
    return MADE.setdefault((lang, rules), MADE.get((lang, rules)) or Tokenizer(lang, rules))


def shown(tokens: str) -> list[str]:
    return ["xxbos", *("\n" if token == "¶" else token for token in tokens.split(" ") if token)]


@pytest.mark.parametrize("lang", DEFAULT)
@pytest.mark.parametrize(("rules", "tables"), [("default", DEFAULT), ("fastai", FASTAI)], ids=["default", "fastai"])
def test_sentences(lang, rules, tables):
    made = tokenizer(lang, rules)
    assert made([text for text, _ in tables[lang]]) == [shown(tokens) for _, tokens in tables[lang]]


@pytest.mark.parametrize("lang", DEFAULT)
@pytest.mark.parametrize("rules", RULES)
def test_fast_is_the_reference(lang, rules):
    made = tokenizer(lang, rules)
    texts = [text for table in DEFAULT.values() for text, _ in table]  # of all languages: a corpus holds others' words
    texts += [f"{one} {two}" for one, two in pairwise(texts)]
    texts.append("\n\n".join(texts))
    assert made(texts) == [tokenize_reference(text, rules, Language(lang).split) for text in texts]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("lang", ["zh", "ja"])
def test_a_long_text_without_spaces(lang, rules):
    sentence = {"zh": "今天的天气非常好，我们去公园。", "ja": "今日はとても良い天気です。"}[lang]
    made = tokenizer(lang, rules)
    once = made([sentence])[0][1:]
    for gap in ("", " ") if rules == "default" else (" ",):
        assert made([f"{sentence}{gap}" * 2500])[0] == ["xxbos", *once * 2500]  # Japanese's own tokenizer refuses so much at once


@pytest.mark.parametrize("lang", ["qq", "", "english", "e n"])
def test_a_language_that_spacy_has_not(lang):
    with pytest.raises(
        UserError, match=f"the language '{lang}' cannot be tokenised: spaCy does not have it; give a code such as en"
    ) as caught:
        Tokenizer(lang)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lang", "package", "remedy"),
    [
        ("ja", "sudachipy", "pip install sudachipy sudachidict_core"),
        ("th", "pythainlp", "pip install pythainlp"),
        ("vi", "pyvi", "pip install pyvi"),
    ],
)
def test_a_language_whose_packages_are_missing_says_which(lang, package, remedy, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(UserError, match=f"the language '{lang}' cannot be tokenised: it needs packages .*{remedy}") as caught:
        Tokenizer(lang)
    assert "\n" not in str(caught.value)
