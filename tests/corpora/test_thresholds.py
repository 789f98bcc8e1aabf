"""Data quality: ``quality.json``, and what warns or stops."""

import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.config import QualityConfig
from ulmfit.corpora.quality import quality_record
from ulmfit.corpora.quality.measuring import Measurements, measure, merge
from ulmfit.corpora.quality.quality_record import Findings, OutOfVocabulary, Quality, Share, SplitQuality, describe, out_of_vocabulary
from ulmfit.corpora.quality.thresholds import Figure, check, check_language, check_vocabulary
from ulmfit.errors import UserError
from ulmfit.presets import override, tiny
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import UNK, Vocab

# --------------------------------------------------------------------------------------------------------- quality.json

WHOLE = Measurements(documents=1000, characters=50_000, sampled=64, languages={"en": 60})


def made(merged=None, labels=None, **findings):
    """The quality of 1,000 documents: 800 in train, 100 in valid, 100 in test."""
    documents = {"train": 800, "valid": 100, "test": 100, "unlabelled": 0}
    held = SplitQuality.of(np.repeat([2, 4], 400), labels or {}, sum((labels or {}).values()))
    return describe(replace(WHOLE, **(merged or {})), Findings(**{"rows": 1000, "documents": documents} | findings), {"train": held})


def test_quality_tells_counts_and_shares():
    known = made(
        {"html": 30, "tags": 5, "line_breaks": 25, "entities": 2, "broken": 1, "languages": {"en": 30, "de": 10, "fr": 10}},
        labels={"a": 600, "b": 200},
        rows=1250,
        quarantined={"empty": 200, "no label": 50},
        duplicates=20,
        folded_duplicates=40,
        conflicting_labels=8,
        with_nul=3,
        overlap={"train/test": 10, "train/valid": 1, "unlabelled/train": 80},
    )
    assert Quality.model_validate(known.model_dump(mode="json")) == known
    known = json.loads(json.dumps(known.model_dump(mode="json"), allow_nan=False))
    assert known["measured"] == {"documents": 1000, "characters": 50_000} and known["quarantined"] == {"empty": 200, "no label": 50}
    assert known["found"] == {
        "quarantined": {"documents": 250, "of": 1250, "share": 0.2},
        "duplicates": {"documents": 20, "of": 1000, "share": 0.02},
        "folded_duplicates": {"documents": 40, "of": 1000, "share": 0.04},
        "with_nul": {"documents": 3, "of": 1000, "share": 0.003},
        "html": {"documents": 30, "of": 1000, "share": 0.03},
        "tags": {"documents": 5, "of": 1000, "share": 0.005},
        "line_breaks": {"documents": 25, "of": 1000, "share": 0.025},
        "entities": {"documents": 2, "of": 1000, "share": 0.002},
        "broken": {"documents": 1, "of": 1000, "share": 0.001},
        "conflicting_labels": {"documents": 8, "of": 800, "share": 0.01},
    }
    assert known["overlap"] == {
        "train/test": {"documents": 10, "of": 100, "share": 0.1},
        "train/valid": {"documents": 1, "of": 100, "share": 0.01},
        "unlabelled/train": {"documents": 80, "of": 800, "share": 0.1},
    }
    spoken = known["languages"]
    assert (spoken["sampled"], spoken["told"], spoken["main"], spoken["share"]) == (64, 50, "en", 0.6)
    assert list(spoken["guessed"]) == ["en", "de", "fr"] and spoken["guessed"]["fr"] == {"documents": 10, "of": 50, "share": 0.2}
    assert known["splits"]["train"]["labels"]["b"] == {"documents": 200, "of": 800, "share": 0.25}
    assert known["splits"]["train"]["lengths"] == [0, 400, 400] and known["class_ratio"] == 3.0


def test_nothing_has_a_quality_and_no_warnings():
    known = describe(measure([]), Findings(), {})
    assert {entry.share for entry in known.found.values()} == {0.0} and known.languages.main is None
    assert check(known, QualityConfig(), "f.csv") == []


def test_out_of_vocabulary_is_what_becomes_unknown():
    vocab = Vocab([*SPECIALS, "the", "cat"])
    counts = {"the": 50, "dog": 7, "cat": 20, "xxmaj": 10, "emu": 7, "xxunk": 3, "ox": 3}
    found = out_of_vocabulary(counts, vocab)
    told = {"tokens": 100, "unknown": 20, "share": 0.2, "most_frequent": [["dog", 7], ["emu", 7], ["ox", 3], ["xxunk", 3]]}
    assert found.model_dump(mode="json") == told and OutOfVocabulary.model_validate(told) == found
    ids = vocab.encode(token for token, count in counts.items() for _ in range(count))
    assert found.unknown == int((ids == UNK).sum())
    table = pa.table({"token": list(counts), "count": list(counts.values())})
    assert out_of_vocabulary(pa.concat_tables([table[4:], table[:4]]), vocab) == found  # in chunks, in any order


def test_out_of_vocabulary_lists_a_few_and_takes_none():
    vocab = Vocab(SPECIALS)
    assert len(out_of_vocabulary({f"t{i}": 1 for i in range(100)}, vocab).most_frequent) == quality_record.COMMONEST
    assert out_of_vocabulary({}, vocab) == OutOfVocabulary(tokens=0, unknown=0, share=0.0, most_frequent=())
    assert check_vocabulary(out_of_vocabulary({}, vocab), QualityConfig(), "f.csv") == []


# ----------------------------------------------------------------------------------------------------------- thresholds

FAULTS = {
    "duplicate_share": ({"folded_duplicates": 123}, r"12\.3% of the documents \(123 of 1,000\) repeat"),
    "overlap_share": ({"overlap": {"train/test": 30}}, r"30\.0% of the documents of test \(30 of 100\) also stand in train"),
    "html_share": ({"merged": {"html": 600}}, r"60\.0% of the documents \(600 of 1,000\) hold HTML tags or entities"),
    "tag_share": ({"merged": {"html": 600, "tags": 60}}, r"6\.0% of the documents \(60 of 1,000\) hold HTML tags other than <br>"),
    "broken_share": ({"merged": {"broken": 77}}, r"7\.7% of the documents \(77 of 1,000\) show a broken encoding"),
    "main_language_share": (
        {"merged": {"languages": {"de": 21, "en": 39}}},
        r"the commonest language, en, is that of 65\.0% of 60 sampled",
    ),
    "class_ratio": ({"labels": {"rare": 7, "often": 793}}, r"'often' has 113\.3 times as many training documents as 'rare' \(793 and 7\)"),
}
OOV = OutOfVocabulary(tokens=1000, unknown=301, share=0.301, most_frequent=(("emu", 200), ("ox", 101)))


def judged(name, config):
    if name == "oov_share":
        return check_vocabulary(OOV, config, "f.csv")
    return check(made(**FAULTS[name][0]), config, "f.csv")


def test_every_threshold_is_looked_at():
    options = set(QualityConfig.model_fields) - {"max_quarantined_share"}
    names = {*FAULTS, "oov_share"}
    assert options == {f"warn_{name}" for name in names} | {f"max_{name}" for name in names if "main" not in name} | {
        "min_main_language_share"
    }


def test_a_sound_corpus_passes():
    assert check(made(labels={"a": 400, "b": 400}), QualityConfig(), "f.csv") == []


@pytest.mark.parametrize("name", [*FAULTS, "oov_share"])
def test_a_fault_warns_in_one_line(name):
    never = QualityConfig(**{option: None for option in QualityConfig.model_fields if option.startswith("warn_")})
    assert judged(name, never) == []
    level = {"main_language_share": 0.9, "class_ratio": 10}.get(name, 0.05)
    (warning,) = judged(name, never.model_copy(update={f"warn_{name}": level}))
    assert re.search(FAULTS.get(name, (0, r"30\.1% of the tokens \(301 of 1,000\).*most often: emu, ox"))[1], warning)
    assert f"(quality.warn_{name}={level:g})" in warning and "\n" not in warning


@pytest.mark.parametrize("name", [*FAULTS, "oov_share"])
def test_a_fault_stops_where_told_to_and_the_advice_is_enough(name):
    option = f"min_{name}" if name == "main_language_share" else f"max_{name}"
    level = {"main_language_share": 0.9, "class_ratio": 10}.get(name, 0.05)
    config = override(tiny(), [f"quality.{option}={level}"]).quality
    with pytest.raises(UserError, match=rf"f\.csv: .*quality\.{option}={level:g}.*--set quality\.{option}=") as caught:
        judged(name, config)
    assert "\n" not in str(caught.value)
    advice = re.search(r"--set (\S+)$", str(caught.value))[1]
    judged(name, override(tiny(), [advice]).quality)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
@settings(max_examples=300, deadline=None)
def test_the_level_that_is_advised_lets_the_value_pass(documents, of):
    share = Share.out_of(min(documents, of), of).share
    for floor in (False, True):
        figure = Figure("x_share", share, "", "", floor)
        assert not figure.beyond(float(figure.allowed)) and abs(float(figure.allowed) - share) <= 1e-4 + 1e-9


def test_a_level_that_is_met_but_not_passed_is_fine():
    config = QualityConfig(max_duplicate_share=0.123, min_main_language_share=0.65, max_class_ratio=114)
    for name in ("duplicate_share", "main_language_share", "class_ratio"):
        assert not any(f"max_{name}" in warning or f"min_{name}" in warning for warning in judged(name, config))


def test_all_stops_are_told_at_once():
    known = made({"broken": 500}, folded_duplicates=500)
    with pytest.raises(UserError, match=r"max_duplicate_share=.*; .*max_broken_share=") as caught:
        check(known, QualityConfig(max_duplicate_share=0.1, max_broken_share=0.1), "f.csv")
    assert "\n" not in str(caught.value)


def test_a_few_documents_say_nothing_of_the_language():
    few = made({"languages": {"en": 10, "de": 10}})
    assert check(few, QualityConfig(min_main_language_share=0.9), "f.csv") == [] == check_language(few, "fr")


def test_a_tokenizer_of_another_language_is_told():
    german = made({"languages": {"de": 50, "en": 10}})
    assert check_language(german, "de") == [] == check_language(german, "xx")
    assert "looks like de (83.3% of 60 sampled documents), but is tokenised as en: set text.lang=de" in check_language(german, "en")[0]
    assert check_language(made({"languages": {"no": 50}}), "nb") == []
    assert check_language(made({"languages": {"de": 20, "fr": 21, "it": 20}}), "en") == []  # mixed: another warning tells so


@pytest.mark.parametrize("path", ["imdb/test.parquet", "ag_news/train.parquet", "dbpedia/train.parquet", "wikipedia/valid.parquet"])
def test_known_corpora_pass_without_a_warning(path):
    data = os.environ.get("ULMFIT_DATA")
    if not data or not Path(data, path).is_file():
        pytest.skip("ULMFIT_DATA names no folder with this corpus")
    texts = pq.read_table(Path(data, path), columns=["text"])["text"].to_pylist()
    merged = merge([measure(texts[:3000]), measure(texts[-3000:])])
    known = made(asdict(merged), documents={"train": merged.documents}, rows=merged.documents)
    assert check(known, QualityConfig(), path) == [] == check_language(known, "en")
    assert known.languages.main == "en" and known.languages.told > 0.9 * known.languages.sampled
