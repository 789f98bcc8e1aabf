import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ulmfit.config import ClassifierConfig
from ulmfit.errors import UserError
from ulmfit.labels.label_set import LabelSet, indicators, probabilities
from ulmfit.labels.label_strings import join_labels, split_labels, strata

SEVERAL = ClassifierConfig(task="multi-label")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="|", exclude_categories=("Z", "C")), min_size=1, max_size=4)


def test_classes_are_their_own_targets():
    labels = LabelSet.of(["bad", "good", "so so"], ClassifierConfig())
    assert (labels.task, labels.names, len(labels)) == ("multi-class", ["bad", "good", "so so"], 3)
    targets = labels.targets_of(np.array([2, 0], dtype=np.int32))
    assert targets.dtype == torch.int64 and targets.tolist() == [2, 0]


def test_label_strings_become_rows_of_zeros_and_ones():
    labels = LabelSet.of(["b|a", "c", "|", "a | c|a"], SEVERAL)
    assert (labels.task, labels.names) == ("multi-label", ["a", "b", "c"])
    targets = labels.targets_of(np.array([3, 2, 0, 0]))
    assert targets.dtype == torch.float32
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 0], [1, 1, 0]]
    assert labels.targets_of(np.empty(0, dtype=np.int64)).shape == (0, 3)


def test_one_label_that_some_documents_have_is_a_task():
    assert LabelSet.of(["|", "spam"], SEVERAL).names == ["spam"]


def test_another_separator():
    labels = LabelSet.of(["a|b; c", ";"], ClassifierConfig(task="multi-label", label_separator=";"))
    assert labels.names == ["a|b", "c"]
    assert split_labels("a  b", " ") == ["a", "b"]


@given(st.sets(NAMES, max_size=5))
def test_joined_labels_come_apart_again(names):
    assert split_labels(join_labels(names, "|"), "|") == sorted(names)


@given(st.lists(st.sets(NAMES, max_size=4), min_size=1, max_size=8))
def test_targets_say_which_labels_a_string_holds(rows):
    strings = list(dict.fromkeys(join_labels(row, "|") for row in rows))
    if not any(rows):
        return
    labels = LabelSet.of(strings, SEVERAL)
    found = [{name for name, has in zip(labels.names, row, strict=True) if has} for row in labels.targets_of(np.arange(len(strings)))]
    assert found == [set(string.split("|")) - {""} for string in strings]


@pytest.mark.parametrize(
    ("strings", "config", "said"),
    [
        (["one"], ClassifierConfig(), "1 classes are too few"),
        (["a", " "], ClassifierConfig(), "a label is empty"),
        (["a", "b", "a"], ClassifierConfig(), "'a' stands twice"),
        (["|"], SEVERAL, "no document has a label"),
        ([], SEVERAL, "no document has a label"),
        (["a||b"], SEVERAL, r"'a\|\|b' has an empty label"),
        (["a|"], SEVERAL, r"'a\|' has an empty label"),
    ],
)
def test_labels_that_make_no_task_are_refused_in_one_line(strings, config, said):
    with pytest.raises(UserError, match=said) as caught:
        LabelSet.of(strings, config)
    assert "\n" not in str(caught.value)


def test_a_label_may_not_hold_the_separator():
    with pytest.raises(UserError, match="holds the separator"):
        join_labels(["a|b"], "|")
    with pytest.raises(UserError, match="is empty"):
        join_labels(["a", " "], "|")


def test_a_stratum_is_that_of_the_rarest_label():
    held = [["a"], ["a", "b"], ["b", "c"], [], ["a", "c"]]
    found = strata(held, [10, 5, 2, 3, 1])  # a: 16 documents, b: 7, c: 3
    assert found.tolist() == [1, 2, 3, 0, 3]


def test_indicators_refuse_a_label_that_is_unknown():
    assert indicators([["b"], []], ["a", "b"]).tolist() == [[False, True], [False, False]]
    with pytest.raises(KeyError):
        indicators([["z"]], ["a"])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_probabilities_are_those_of_the_formulas(temperature):
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 4.0]])
    powers = np.exp(logits.double().numpy() / temperature)
    assert np.allclose(probabilities(logits, "multi-class", temperature), powers / powers.sum(1, keepdims=True))
    assert np.allclose(probabilities(logits, "multi-label", temperature), powers / (1 + powers))
    assert probabilities(logits.bfloat16(), "multi-label").dtype == torch.float32


def test_reading_a_corpus_loads_no_torch():
    code = "import sys, ulmfit.labels.label_set, ulmfit.corpora.ingest.decide; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
