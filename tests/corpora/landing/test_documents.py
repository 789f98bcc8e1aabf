"""What is a document now, and with which label: as a plain reading of the rows, one after the other, says."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ulmfit.corpora.ingest.facts import UNKNOWN, DocumentFacts
from ulmfit.corpora.landing.documents import Late, Rows, change, relabelled, resolve

Event = tuple[str, str | None, str | None]  # id, text, label; without a text it is a label that came late
LABELS = ["a", "b", "c"]


def digests(words: list[str]) -> np.ndarray:
    return np.array([[int.from_bytes(word.encode()), len(word)] for word in words], np.uint64).reshape(-1, 2)


def rows_of(arrivals: list[list[Event]]) -> Rows:
    """As if each event came in a file of its own, and each arrival were a part."""
    events = [(part, *event) for part, arrival in enumerate(arrivals) for event in arrival]
    texts = [(number, *event) for number, event in enumerate(events) if event[2] is not None]
    late = [(number, *event) for number, event in enumerate(events) if event[2] is None and event[3] is not None]

    def codes(some: list[tuple[int, int, str, str | None, str | None]]) -> np.ndarray:
        return np.array([UNKNOWN if label is None else LABELS.index(label) for *_, label in some], np.int32)

    fold = digests([str(text) for _, _, _, text, _ in texts])
    sizes = np.ones(len(texts), np.int64)
    facts = DocumentFacts(fold, fold, codes(texts), np.zeros(len(texts), np.int8), sizes, LABELS)

    def column(some: list[tuple[int, int, str, str | None, str | None]], place: int) -> np.ndarray:
        return np.array([event[place] for event in some], np.int32)

    def no(some: list[tuple[int, int, str, str | None, str | None]]) -> np.ndarray:
        return np.zeros(len(some), bool)

    waiting = Late(digests([event[2] for event in late]), codes(late), column(late, 1), column(late, 0), no(late))
    return Rows(facts, digests([event[2] for event in texts]), column(texts, 1), column(texts, 0), no(texts), no(texts), waiting)


def plainly(events: list[Event]) -> dict[str, str | None]:
    """Text -> label of every document."""
    now = {name: text for name, text, _ in events if text is not None}
    found: dict[str, str | None] = {}
    for text in set(now.values()):
        names = {name for name, of in now.items() if of == text}
        labels = [label for name, of, label in events if label is not None and (of == text or name in names)]
        found[text] = labels[-1] if labels else None
    return found


def by_text(rows: Rows, events: list[Event], hidden: tuple[int, ...] = ()) -> dict[str, str | None]:
    texts = [text for _, text, _ in events if text is not None]
    found = resolve(rows, hidden)
    live = np.flatnonzero(found.live).tolist()
    assert len({texts[row] for row in live}) == len(live), "each text once"
    return {texts[row]: None if found.label[row] == UNKNOWN else LABELS[found.label[row]] for row in live}


NAMES = st.sampled_from(["1", "22", "333", "4444"])
EVENTS = st.lists(
    st.tuples(NAMES, st.sampled_from([None, "x", "yy", "zzz"]), st.sampled_from([None, *LABELS])).filter(
        lambda event: event[1] or event[2]
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(EVENTS, EVENTS)
def test_documents_are_those_of_a_plain_reading(early: list[Event], later: list[Event]) -> None:
    rows, everything = rows_of([early, later]), early + later
    was, now = plainly(early), plainly(everything)
    assert by_text(rows, everything) == now
    assert by_text(rows, everything, (1,)) == was
    found = change(rows, (1,))
    assert found.documents == len(now.keys() - was.keys()) and found.superseded == len(was.keys() - now.keys())
    both = now.keys() & was.keys()
    assert found.corrections == sum(None not in (was[text], now[text]) and now[text] != was[text] for text in both)
    assert found.labels == sum(now[text] is not None and was.get(text) is None for text in now)
    texts = [text for _, text, _ in later if text is not None]
    assert found.duplicates == len(texts) - len(set(texts) - {text for _, text, _ in early})
    known = {name for name, text, _ in everything if text is not None}
    assert found.waiting == sum(text is None and name not in known for name, text, _ in later)


@settings(max_examples=100, deadline=None)
@example([("1", None, "b"), ("1", None, "a"), ("1", "x", "b"), ("1", "yy", None)])  # brought by a text that another one has replaced
@given(EVENTS)
def test_the_last_correction_leads_to_the_label_that_counts(events: list[Event]) -> None:
    rows = rows_of([events])
    found, documents = relabelled(resolve(rows)), resolve(rows)
    assert (found.before != found.after).all()
    last = dict(zip(found.row.tolist(), found.after.tolist(), strict=True))
    assert all(documents.live[row] and documents.label[row] == after for row, after in last.items())
