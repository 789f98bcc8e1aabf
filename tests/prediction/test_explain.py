"""Explanations: each effect is the difference of two predictions; they cover the text, name strange ones, and are shown escaped."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import cast

import numpy as np
import pytest

from tests.prediction.test_predictor import LABELS, VOCAB, save_classifier
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.prediction import explain as module
from ulmfit.prediction.bundle import write_bundle
from ulmfit.prediction.explain import explain
from ulmfit.prediction.explanation import Explanation, Part
from ulmfit.prediction.explanation_page import HEAD, article, coloured
from ulmfit.prediction.familiar import Strangeness
from ulmfit.prediction.predictor import Predictor
from ulmfit.text.tokenizer import Tokenizer

TEXT = "The film was good. A long story about cats and dogs!\nThe trains, the trains…"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("explained")
    VOCAB.save(folder / "vocab.json")
    parts = [save_classifier(folder / name, name, seed) for seed, name in enumerate(DIRECTIONS)]
    write_bundle(folder / "model", *parts, folder / "vocab.json", Tokenizer().definition)
    return Predictor(folder / "model")


def test_an_effect_is_the_difference_of_two_predictions(predictor: Predictor) -> None:
    found = explain(predictor, TEXT)
    whole = predictor.probabilities([TEXT])[0]
    assert found.label == LABELS[whole.argmax()] and found.probability == pytest.approx(whole.max(), abs=1e-6)
    code = int(whole.argmax())
    without = TEXT.replace("story ", "")
    (word,) = [word for word in found.words if word.text == "story"]
    assert word.effect == pytest.approx(whole[code] - predictor.probabilities([without])[0, code], abs=1e-6)
    each = predictor.members([without])
    assert word.forward == pytest.approx(found.directions["forward"] - each["forward"][0, code], abs=1e-6)
    assert word.backward == pytest.approx(found.directions["backward"] - each["backward"][0, code], abs=1e-6)
    first = TEXT.removeprefix("The film was good. ")
    assert found.sentences[0].effect == pytest.approx(whole[code] - predictor.probabilities([first])[0, code], abs=1e-6)
    assert len({round(word.effect, 4) for word in found.words}) > 5, "the words are told apart"


def test_it_is_the_same_every_time(predictor: Predictor) -> None:
    assert explain(predictor, TEXT) == explain(predictor, TEXT)


def test_sentences_are_found_in_time_that_grows_as_the_text_does() -> None:
    plain = re.compile(r"\S.*?(?:[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]|(?=\n)|\Z)", re.DOTALL)  # tries each mark of a run: quadratic
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        text = "".join(rng.choice([*"ab.!?…\"') \n。"], size=rng.integers(16)))
        assert [found.span() for found in module.SENTENCE.finditer(text)] == [found.span() for found in plain.finditer(text)]
    assert [found.span() for found in module.SENTENCE.finditer("!" * 1_000_000 + "x")] == [(0, 1_000_001)]  # would take a day


@pytest.mark.parametrize(
    "text", [TEXT, "one", "a b", "No end", 'He said "go." Then… what?! (Yes.) U.S. trade', "a\n\n b\t c ", "映画は良かった。とても長い。"]
)
def test_sentences_and_words_cover_the_text(predictor: Predictor, text: str) -> None:
    found = explain(predictor, text)
    for parts in (found.sentences, found.words):
        assert [part.text for part in parts] == [text[part.start : part.end] for part in parts]
        assert all(one.end <= other.start for one, other in pairwise(parts))
        left = list(text)
        for part in parts:
            left[part.start : part.end] = " " * (part.end - part.start)
        assert not "".join(left).strip()


def test_sentences_end_where_they_end(predictor: Predictor) -> None:
    assert [part.text for part in explain(predictor, TEXT).sentences] == [
        "The film was good.",
        "A long story about cats and dogs!",
        "The trains, the trains…",
    ]
    assert [word.text for word in explain(predictor, "良い film").words] == ["良", "い", "film"]


def test_of_a_long_text_the_strongest_sentences_are_looked_at(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST", 8)
    monkeypatch.setattr(module, "READ", 0)
    text = " ".join(f"The film was {word}. And a story." for word in ("good", "bad", "long", "short") * 10)
    found = explain(predictor, text)
    assert len(found.sentences) == module.PASSAGES and len(found.words) == 8
    strongest = max(found.sentences, key=lambda part: abs(part.effect))
    assert any(strongest.start <= word.start < strongest.end for word in found.words)


def test_another_label_can_be_explained(predictor: Predictor) -> None:
    by_label = {label: explain(predictor, TEXT, label) for label in LABELS}
    for words in zip(*(found.words for found in by_label.values()), strict=True):
        assert sum(word.effect for word in words) == pytest.approx(0, abs=1e-5)  # what one label loses, others gain
    with pytest.raises(UserError, match=r"^the model has no label 'none'; choose one of its 3 labels$"):
        explain(predictor, TEXT, "none")


def test_a_text_without_words(predictor: Predictor) -> None:
    for text in ("", " \n "):
        found = explain(predictor, text)
        assert found.words == found.sentences == () and found.strange.warning is None and coloured(found) == text


def test_a_strange_text_is_told(predictor: Predictor) -> None:
    assert explain(predictor, "the film was good").strange.warning is None
    strange = explain(predictor, "der Hund was good").strange
    assert strange.unknown == pytest.approx(2 / 5) and strange.warning  # with the mark of the capital
    assert strange.warning.startswith("40% of the words are unknown: the text is far")


def of(*effects: tuple[str, float, float]) -> Explanation:
    text, parts = " ".join(word for word, _, _ in effects), list[Part]()
    for word, forward, backward in effects:
        start = parts[-1].end + 1 if parts else 0
        parts.append(Part(start, start + len(word), word, (forward + backward) / 2, forward, backward))
    directions = cast(dict[Direction, float], {"forward": 0.8, "backward": 0.6})
    return Explanation(text, "a <b>", 0.7, directions, (), tuple(parts), Strangeness(9.0, 0.5, "50% of the words are unknown"))


def test_what_is_named_and_whether_the_directions_agree() -> None:
    found = of(("good", 0.2, 0.4), ("but", -0.3, -0.1), ("odd", 0.3, -0.1), ("plain", 0.0, 0.0))
    assert [word.text for word in found.named] == ["good", "odd"]
    assert [word.agree for word in found.words] == [True, True, False, False]
    assert found.short == "good (+0.300); odd (+0.100)" and not found.agree
    assert of(("good", 0.2, 0.4), ("fine", 0.1, 0.1), ("odd", 0.3, -0.1)).agree


def test_the_page_colours_by_direction_of_the_effect_and_escapes() -> None:
    found = of(("<script>", 0.4, 0.4), ("a&b", -0.2, -0.2), ("odd", 0.3, -0.1), ("plain", 0.001, 0.001))
    shown = coloured(found)
    assert re.sub(r"</?mark[^>]*>", "", shown) == "&lt;script&gt; a&amp;b odd plain"
    colours = re.findall(r'rgba\((\d+),\d+,\d+,([\d.]+)\)" title="([^"]+)"', shown)
    assert colours == [("27", "0.70", "+0.4000"), ("205", "0.35", "-0.2000"), ("27", "0.17", "+0.1000")]
    assert shown.count("class=apart") == 1
    page = HEAD + article(found)
    assert "a &lt;b&gt;" in page and "50% of the words" in page and "http" not in page and not re.search("<(script|link|img)", page)


def test_effects_do_not_depend_on_batches(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explain(predictor, TEXT)
    monkeypatch.setattr("ulmfit.prediction.logits.INFERENCE_POSITIONS", 30)
    parted = explain(predictor, TEXT)
    assert np.allclose([word.effect for word in whole.words], [word.effect for word in parted.words], atol=1e-6)
