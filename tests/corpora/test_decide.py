"""Duplicates, overlap, splits and samples, decided from facts as they would be with all documents at hand."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.config import CorpusConfig, LabelsConfig
from ulmfit.corpora.ingest import splitting
from ulmfit.corpora.ingest.decide import Subject, decide
from ulmfit.corpora.ingest.facts import DocumentFacts
from ulmfit.corpora.ingest.splitting import held_out, hold_out
from ulmfit.corpora.ingest.splitting import sample as sample_of
from ulmfit.corpora.quality.quality_record import Findings
from ulmfit.corpora.splits import SPLITS
from ulmfit.corpora.text_digests import exact, fold
from ulmfit.errors import UserError
from ulmfit.labels.drawing import draw as draw_of


def facts_of(documents):
    """DocumentFacts of (text, label, split) triples."""
    labels = sorted({label for _, label, _ in documents if label is not None})
    words = [(exact(text), fold(text)) for text, _, _ in documents]
    exacts, folds = (np.array([np.frombuffer(pair[i], np.uint64) for pair in words], np.uint64).reshape(-1, 2) for i in (0, 1))
    codes = np.array([-1 if label is None else labels.index(label) for _, label, _ in documents], np.int32)
    splits = np.array([SPLITS.index(split) for _, _, split in documents], np.int8)
    return DocumentFacts(exacts, folds, codes, splits, np.array([len(text) for text, _, _ in documents], np.int64), labels)


SUBJECT = Subject("here", None, str)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_no_class_is_carved_away(sizes, test_share, valid_share):
    facts = facts_of([(f"{label} {i}", str(label), "train") for label, size in enumerate(sizes) for i in range(size)])
    split = facts.split.copy()
    hold_out(facts, split, CorpusConfig(test_share=test_share, valid_share=valid_share), labelled=True)
    left, valid, test = (np.bincount(facts.label[split == SPLITS.index(name)], minlength=len(sizes)) for name in ("train", "valid", "test"))
    for label, size in enumerate(sizes):
        assert left[label] >= min(size, 2)
        if size >= 4:
            assert test[label] and valid[label]
    assert sum(left) + sum(valid) + sum(test) == len(facts)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 5), st.data())
def test_samples_are_nested_and_in_proportion(sizes, seed, data):
    facts = facts_of([(f"{label} {i}", str(label), "train") for label, size in enumerate(sizes) for i in range(size)])
    larger = data.draw(st.integers(len(sizes), len(facts)))
    smaller = data.draw(st.integers(len(sizes), larger))
    members = np.arange(len(facts))
    taken = {total: sample_of(facts, members, total, "train", seed) for total in (smaller, larger)}
    for total, (chosen, left) in taken.items():
        assert len(chosen) == total and sorted([*chosen, *left]) == members.tolist()
    assert set(taken[smaller][0]) <= set(taken[larger][0])
    counts = np.bincount(facts.label[taken[smaller][0]], minlength=len(sizes))
    for size, count in zip(sizes, counts, strict=True):
        assert 1 <= count <= size * smaller / len(facts) + 2


def plainly(documents, config, labelled):
    """The final (split, label) of each of (text, label, split), or None: the rules of ingest, a document at a time."""
    split = [hint for _, _, hint in documents]
    label = [label for _, label, _ in documents]
    folded = [fold(text) for text, _, _ in documents]

    def members(name):
        return [i for i in range(len(documents)) if split[i] == name]

    def ranked(indices, purpose):
        salt = hashlib.blake2b(f"{config.seed}:{purpose}".encode(), digest_size=16).digest()
        return sorted(indices, key=lambda i: hashlib.blake2b(folded[i], digest_size=8, key=salt).digest())

    def sample(indices, total, purpose):
        met, sizes, places = Counter(), Counter(label[i] for i in indices), []
        for i in ranked(indices, purpose):
            places.append((met[label[i]] > 0, (met[label[i]] + 0.5) / sizes[label[i]], str(label[i]), i))
            met[label[i]] += 1
        return {i for *_, i in sorted(places)[:total]}

    seen = set()
    for i, (text, tag, hint) in enumerate(documents):
        if hint != "test" and (text, tag, hint) in seen:
            split[i] = None
        seen.add((text, tag, hint))
    shares = {"test": config.test_share, "valid": config.valid_share} if labelled else {"valid": config.valid_share}
    wanted = [name for name, share in shares.items() if share and not members(name)]
    for number, name in enumerate(wanted):
        train = members("train")
        due = {tag: held_out(size, shares[name], len(wanted) - 1 - number) for tag, size in Counter(label[i] for i in train).items()}
        for i in ranked(train, name):
            if due[label[i]] > 0:
                due[label[i]] -= 1
                split[i] = name
    taken = set()
    for name in ("test", "valid", "train", "unlabelled"):
        there = members(name)
        for i in there:
            if name != "test" and folded[i] in taken:
                split[i] = None
        taken |= {folded[i] for i in there}
    train, valid = members("train"), members("valid")
    if config.max_train is not None and len(train) > config.max_train:
        spare = set(train) - sample(train, config.max_train, "train")
        if labelled:
            fewer = max(-int(-(config.max_train / len(train) * len(valid)) // 1), len({label[i] for i in valid}))
            spare |= set(valid) - sample(valid, fewer, "max_valid")
        for i in spare:
            split[i], label[i] = ("unlabelled", None) if labelled else (None, label[i])
    for name, most, purpose in (("test", config.max_test, "max_test"), ("unlabelled", config.max_unlabelled, "unlabelled")):
        if most is not None and len(members(name)) > most:
            for i in set(members(name)) - sample(members(name), most, purpose):
                split[i] = None
    return [(split[i], label[i]) if split[i] else None for i in range(len(documents))]


WORDS = st.lists(st.sampled_from(["a", "b", "A", "c", "d e", "D  e", "f"]), min_size=1, max_size=3).map(" ".join)
MOST = st.none() | st.integers(3, 30)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(WORDS, st.sampled_from("xyz"), st.sampled_from([*SPLITS, "train", "train"])), min_size=10, max_size=60),
    st.builds(
        CorpusConfig, max_train=MOST, max_test=MOST, max_unlabelled=MOST, seed=st.integers(0, 3), test_share=st.sampled_from([0, 0.2])
    ),
    st.booleans(),
    st.integers(0, 3),
)
def test_decided_as_with_all_documents_at_hand(documents, config, labelled, without):
    documents = [
        (text, None if hint == "unlabelled" or not labelled else label, hint)
        for text, label, hint in documents
        if not without or hint != SPLITS[without]
    ]
    facts = facts_of(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "CHUNK", 7)
        try:
            decided = decide(facts, config, labelled, SUBJECT, Findings())
        except UserError:
            return
    found = zip(decided.split.tolist(), decided.label.tolist(), strict=True)
    names = [None if split < 0 else (SPLITS[split], None if label < 0 else facts.labels[label]) for split, label in found]
    assert names == plainly(documents, config, labelled)


def test_a_draw_of_its_own_leaves_what_judges_and_nests():
    """Documents to learn from, by seed of the draw: those held out stay, and less text is a part of more."""
    documents = [(f"text {number}", "xyz"[number % 3], "train") for number in range(300)] + [
        (f"more {i}", None, "unlabelled") for i in range(90)
    ]

    def split(name, **config):
        decided = decide(facts_of(documents), CorpusConfig(**config), True, SUBJECT, Findings())
        return set(np.flatnonzero(decided.split == SPLITS.index(name)).tolist())

    whole = split("test")
    few = {draw: split("train", max_train=20, max_unlabelled=0, draw=draw) for draw in (0, 1)}
    assert len(few[0] & few[1]) < 10
    train = np.array(sorted(split("train")))
    labels = facts_of(documents).label[train]
    for draw in (0, 1):
        assert few[draw] == set(train[draw_of(labels, LabelsConfig(number=20, seed=draw))].tolist()), "as of the whole corpus"
        assert split("test", max_train=20, max_unlabelled=10, draw=draw) == whole
        assert few[draw] == split("train", max_train=20, max_unlabelled=50, draw=draw) < split("train", max_train=60, draw=draw)
        less, more = (split("unlabelled", max_train=20, max_unlabelled=number, draw=draw) for number in (10, 50))
        assert len(less) == 10 and less < more < split("unlabelled", max_train=20, draw=draw)


def test_duplicates_are_kept_once_but_in_test():
    rows = [("a", "x"), ("a", "x"), ("A", "x"), ("a", "y"), ("b", "y")]
    documents = [(*row, "train") for row in rows] + [("t", "x", "test"), ("t", "x", "test"), ("v", "x", "valid")]
    findings = Findings()
    decided = decide(facts_of(documents), CorpusConfig(), True, SUBJECT, findings)
    assert decided.split.tolist() == [0, -1, 0, 0, 0, 2, 2, 1]
    assert (findings.duplicates, findings.folded_duplicates, findings.conflicting_labels) == (2, 4, 1)
    assert "1 texts of the training rows occur with different labels" in findings.warnings
    assert "1 duplicated documents in test, all of them kept" in findings.warnings


def test_overlap_leaves_the_judge_whole():
    rows = [("A b", "x", "test"), ("a  B", "x", "valid"), ("v", "x", "valid"), ("a b", "x", "train"), ("V", "x", "train")]
    rows += [(text, label, "train") for text in ("own", "his") for label in "xy"]
    rows += [("a b", None, "unlabelled"), ("v", None, "unlabelled"), ("OWN", None, "unlabelled"), ("free", None, "unlabelled")]
    findings = Findings()
    decided = decide(facts_of(rows), CorpusConfig(), True, SUBJECT, findings)
    assert decided.split.tolist() == [2, -1, 1, -1, -1, 0, 0, 0, 0, -1, -1, -1, 3]
    assert findings.overlap_removed == 6 and findings.documents == {"train": 6, "valid": 2, "test": 1, "unlabelled": 4}
    assert findings.overlap == {
        "valid/test": 1,
        "train/test": 1,
        "unlabelled/test": 1,
        "train/valid": 2,
        "unlabelled/valid": 2,
        "unlabelled/train": 4,  # of train's documents: a b, V, and own under both labels
    }
