"""What is measured of texts: HTML, broken encodings, languages, lengths."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.corpora.quality import measuring
from ulmfit.corpora.quality.measuring import Measurements, histogram, languages, measure, merge
from ulmfit.text.characters import BARE_ENTITY

SENTENCES = {
    "en": "The weather was fine, and “everybody” who was there – even she – went for a café’s walk…",
    "de": "Er sagte: »Das ist groß« und „die Straße ist groß“, aber GRÖSSE und Maß… sind übrig; 20 °C, 5 µm.",
    "fr": "L’été passé…” dit-il, «à Noël, où le cœur est déjà là» — ça coûte 3 €, n° 5, ÂGÉ.",
    "es": "¿Qué pasó en España? ¡Nada! El señor «MUÑOZ» vivía en el 2º piso, 3ª puerta; ESPAÑA.",
    "pt": "“NÃO É MAÇÔ… disse a irmã: «o coração da manhã» — MAÇÃ» e AMANHÃ…",
    "pl": "Zażółć gęślą jaźń, powiedział „Łukasz” i poszedł ŚCIEŻKĄ do domu, którego nie było…",
    "sv": "Hon åt smörgås på ÅÄÖ, ”PÅ” sade han, och gick över ån till en by som heter Å…",
    "tr": "İstanbul’da güneşli bir gün, çocuklar “ağaçların” altında oynuyordu; ŞEHİR, ÇİĞ.",
    "ru": "Это обычный русский текст, в котором «ничего» не сломано — № 5.",
    "el": "Αυτό είναι ένα απλό ελληνικό κείμενο, «χωρίς» λάθη· όλα καλά.",
    "ar": "هذا نص عربي عادي لا يوجد فيه أي خطأ على الإطلاق.",
    "zh": "这是一个普通的中文句子，里面没有任何错误。今天天气很好，我们去公园散步。",
    "ja": "これは普通の日本語の文章です。「壊れた」文字はありません。",
    "vi": "Đây là một câu tiếng Việt bình thường, “không có lỗi” nào cả; ÂM THANH, ĐÂU…",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fine.<br />Next", {"line_breaks"}),
        ("fine.<BR>Next", {"line_breaks"}),
        ("<p>text", {"tags"}),
        ("text</a>", {"tags"}),
        ("<IMG src='x'\n alt=\"y\"/>", {"tags"}),
        ("<h1 class=x>Title</h1>", {"tags"}),
        ("a <!-- note --> b", {"tags"}),
        ("<!DOCTYPE html>", {"tags"}),
        ("<br clear=all>", {"tags"}),  # which no rule takes for a line break
        ("</br>", {"tags"}),
        ("<p>a<br>b &amp; c", {"tags", "line_breaks", "entities"}),
        ("AT&amp;T", {"entities"}),
        ("it&#39;s &#x2019;", {"entities"}),
        ("it #39;s", {"entities"}),
        ("AT amp;T", {"entities"}),
        ("quot;Yes", {"entities"}),
        ("a < b and b > c; 3 <4, x<y>z, I <3 you", set()),
        ("<unk> <john@example.org> <brr> <paragraph> <pfoo>", set()),
        ("R&B; a lamp; Q&A. stamp; we #1; exam#39;s &", set()),
        ("", set()),
    ],
)
def test_html_that_is_left(text, found):
    counts = measure([text, "clean"])
    assert {name for name in ("tags", "line_breaks", "entities") if getattr(counts, name)} == found
    assert counts.html == bool(found) and counts.documents == 2


@given(st.text(alphabet="&#x3924amplt;q ", max_size=14))
@settings(max_examples=400, deadline=None)
def test_lost_entities_are_those_that_the_tokenizer_mends(text):
    assert bool(measuring.LOST_ENTITY.search(text)) == bool(BARE_ENTITY.search(text))


def test_documents_are_not_read_across():
    assert measure(["a <", "p> b &", "amp", "; c"]).html == 0


@pytest.mark.parametrize("language", SENTENCES)
def test_sound_text_of_many_languages_is_not_broken(language):
    assert measure([SENTENCES[language]]).broken == 0


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_text_that_was_read_in_a_wrong_encoding_is_broken(language, encoding):
    lines = re.split(r"(?<=[,;:。])", SENTENCES[language])
    wrong = [line.encode().decode(encoding, errors="replace" if encoding == "latin-1" else "ignore") for line in lines]
    assert measure(["".join(wrong)]).broken == 1


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("CafÃ©", 1),
        ("Itâ€™s", 1),
        ("20Â°C", 1),
        ("gone\ufffd", 1),
        ("a\x96b", 1),
        ("x\x85", 1),
        ("zÅ‚oty", 1),
        ("ðŸ˜€", 1),
        ("ï»¿first", 1),
        ("10 Å² Â", 0),
        ("tab\tand\x7f", 0),
        ("😀 naïve", 0),
        ("", 0),
    ],
)
def test_signs_of_a_broken_encoding(text, broken):
    assert measure(["é plain", text]).broken == broken


def test_languages_are_guessed():
    found = languages(text for language, text in SENTENCES.items() if language in ("en", "de", "fr", "ru", "zh"))
    assert found == {"de": 1, "en": 1, "fr": 1, "ru": 1, "zh": 1}


def test_a_language_that_cannot_be_told_is_left_out():
    assert languages(["", "123 456", "!!!", "ok", "<p><div class='the weather is fine today'>"]) == {}


def test_markup_says_nothing_of_a_language():
    assert languages([f"<html><body class='content-of-the-page'>{SENTENCES['de']}"]) == {"de": 1}


def test_the_sample_is_spaced_evenly(monkeypatch):
    monkeypatch.setattr(measuring, "languages", lambda texts: {"numbers": list(map(int, texts))})
    found = measure([str(i) for i in range(1000)])
    numbers = found.languages["numbers"]
    assert len(numbers) == found.sampled == measuring.SAMPLE
    assert numbers[0] == 0 and {b - a for a, b in pairwise(numbers)} == {15, 16} and numbers[-1] > 980
    assert measure(["7", "8"]).languages["numbers"] == [7, 8]


def test_parts_add_up_to_the_whole():
    texts = [*SENTENCES.values(), "<p>&amp;", "Ã©", "a<br>b", "", "123"]
    whole = measure(texts)
    assert merge([measure(texts[:5]), measure([]), measure(texts[5:6]), measure(texts[6:])]) == whole
    assert merge([]) == measure([]) and merge([whole]) == whole
    assert Measurements(**json.loads(json.dumps(asdict(whole)))) == whole


def test_a_merge_takes_parts_as_they_come():
    first = measure(["<p>"])
    assert merge(iter([first, first])).tags == 2 and first.tags == 1


def test_the_model_of_languages_is_not_loaded_by_an_import():
    code = "import sys, ulmfit.corpora.quality.measuring as p; p.measure([]); sys.exit('py3langid' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.lists(st.integers(1, 1 << 40), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_lengths_fall_between_powers_of_two(lengths):
    bins = histogram(lengths)
    assert sum(bins) == len(lengths) and bins[-1]
    assert bins == [sum(2**k <= length < 2 ** (k + 1) for length in lengths) for k in range(len(bins))]


def test_lengths_of_nothing():
    assert histogram([]) == [] and histogram(np.array([], dtype=np.int64)) == []
