import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.shards.batches import Window, Windows, bucket, inference_batches, lm_batches, oriented, pad, stream_windows, training_batches
from ulmfit.shards.documents import Documents
from ulmfit.text.vocab import PAD

lengths_of_documents = st.lists(st.integers(0, 3000), min_size=1, max_size=120).map(lambda lengths: np.array(lengths, dtype=np.int64))


def numbered(lengths: list[int]) -> Documents:
    """Documents of the given lengths in which every token is another number."""
    flat = np.arange(100, 100 + sum(lengths), dtype=np.uint16)
    return Documents.of(np.split(flat, np.cumsum(lengths)[:-1]))


def test_window_lengths_are_drawn_as_in_the_paper():
    plan = Windows.plan(tokens=32 * 200_000 + 1, batch=32, bptt=70, epochs=1, max_tokens=None, seed=0)
    lengths = np.array(plan.epochs[0][:-1])  # the last is what was left over
    short = lengths < 52
    assert lengths.min() >= 5
    assert short.mean() == pytest.approx(0.05, abs=0.015)
    assert lengths[~short].mean() == pytest.approx(69.5, abs=0.4)  # whole numbers, rounded down: half a token less
    assert lengths[~short].std() == pytest.approx(5, abs=0.3)
    assert lengths[short].mean() == pytest.approx(34.5, abs=1.5)


def test_windows_are_never_shorter_than_five_but_at_the_end():
    plan = Windows.plan(tokens=50_001, batch=1, bptt=5, epochs=1, max_tokens=None, seed=0)
    assert min(plan.epochs[0][:-1]) == 5


@settings(max_examples=80, deadline=None)
@given(
    tokens=st.integers(0, 5000),
    batch=st.integers(1, 20),
    epochs=st.one_of(st.integers(0, 4), st.floats(0, 4)),
    budget=st.one_of(st.none(), st.integers(1, 20_000)),
)
def test_a_plan_keeps_to_its_budget_and_uses_it(tokens, batch, epochs, budget):
    plan = Windows.plan(tokens, batch, 20, epochs, budget, seed=1)
    stream = max(0, tokens - 1) // batch
    wanted = min(epochs * stream * batch, budget or np.inf)
    assert plan.tokens <= wanted + 1e-6
    assert wanted - plan.tokens < 6 * batch  # a rest of fewer than five tokens per stream is not worth a step
    assert all(sum(lengths) == stream for lengths in plan.epochs[:-1])
    assert all(sum(lengths) <= stream for lengths in plan.epochs)
    assert plan.steps == sum(len(lengths) for lengths in plan.epochs)


def test_a_plan_comes_from_its_seed():
    plans = [Windows.plan(9000, 4, 70, 2, None, seed) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]
    assert plans[0].epochs[0] != plans[0].epochs[1]


def test_streams_cover_the_text_without_a_gap_and_targets_are_the_next_ids():
    flat = np.arange(1000, 1000 + 5 * 47 + 3, dtype=np.uint16)
    windows = list(stream_windows(flat, "forward", 5, [10, 7, 20, 10]))
    assert [len(ids) for ids, _ in windows] == [10, 7, 20, 10]
    ids, targets = (torch.cat([window[which] for window in windows]) for which in (0, 1))
    assert ids.dtype == targets.dtype == torch.int64
    assert np.array_equal(ids.T.flatten(), flat[: 5 * 47])
    assert np.array_equal(targets.T.flatten(), flat[1 : 5 * 47 + 1])


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("ahead", [1, 60, 10**6])
def test_reading_ahead_makes_no_difference(direction, ahead):
    documents, windows = numbered([30, 1, 0, 12, 40, 200, 3]), Windows.plan(286, 3, 20, 2, None, seed=0)
    rng, expected = np.random.default_rng(6), []
    for epoch, lengths in enumerate(windows.epochs):
        flat = oriented(np.concatenate([documents.doc(i) for i in rng.permutation(len(documents))]), direction)
        position = 0
        for number, length in enumerate(lengths, 1):
            at = np.arange(position, position + length)[:, None] + np.arange(3) * (285 // 3)
            expected.append((flat[at].tolist(), flat[at + 1].tolist(), epoch, number == len(lengths)))
            position += length
    assert [plainly(window) for window in lm_batches(documents, windows, direction, seed=5, ahead=ahead)] == expected


def plainly(window: Window) -> tuple[list, list, int, bool]:
    return window.ids.tolist(), window.targets.tolist(), window.epoch, window.last


@pytest.mark.parametrize("ahead", [1, 60, 10**6])
def test_reading_begins_at_any_step_as_if_it_had_begun_at_the_first(ahead):
    documents, windows = numbered([30, 1, 0, 12, 40, 200, 3]), Windows.plan(286, 3, 20, 2.5, None, seed=0)
    whole = [plainly(window) for window in lm_batches(documents, windows, "backward", seed=5, ahead=ahead)]
    assert len(whole) == windows.steps and [epoch for _, _, epoch, last in whole if last] == [0, 1, 2]
    for start in range(windows.steps + 1):
        assert [plainly(window) for window in lm_batches(documents, windows, "backward", 5, start, ahead)] == whole[start:], start


def test_backward_is_the_text_reversed():
    documents, windows = numbered([30, 1, 12, 40]), Windows.plan(83, 1, 20, 1, None, seed=0)

    def read(direction: str) -> list[int]:
        parts = list(lm_batches(documents, windows, direction, seed=5))
        return [*torch.cat([part.ids for part in parts])[:, 0].tolist(), int(parts[-1].targets[-1, 0])]

    assert read("forward") == read("backward")[::-1]
    assert sorted(read("forward")) == list(range(100, 183))
    with pytest.raises(ValueError, match="'sideways'"):
        oriented(np.arange(3), "sideways")


def test_every_epoch_shuffles_documents_and_keeps_them_whole():
    documents, windows = numbered([20] * 10), Windows.plan(200, 1, 20, 3, None, seed=0)
    parts = list(lm_batches(documents, windows, "forward", seed=5))
    assert [part.epoch for part in parts if part.last] == [0, 1, 2]
    epochs = [torch.cat([part.ids for part in parts if part.epoch == epoch])[:, 0].numpy() for epoch in range(3)]
    orders = [tuple(epoch[::20]) for epoch in epochs]
    assert len(set(orders)) == 3
    assert all((np.diff(epoch)[np.arange(198) % 20 != 19] == 1).all() for epoch in epochs)


def test_padding_stands_at_the_end_and_cuts_alike_in_both_directions():
    documents = Documents.of([np.arange(10, 15), np.array([], dtype=np.int64), np.arange(20, 22)])
    batch = pad(documents, np.array([0, 2, 1]), "forward", None)
    assert batch.ids.T.tolist() == [[10, 11, 12, 13, 14], [20, 21, PAD, PAD, PAD], [PAD] * 5]
    assert batch.lengths.tolist() == [5, 2, 1]
    assert batch.index.tolist() == [0, 2, 1]
    assert pad(documents, np.array([0, 2]), "backward", 3).ids.T.tolist() == [[12, 11, 10], [21, 20, PAD]]


@settings(max_examples=80, deadline=None)
@given(
    lengths=lengths_of_documents,
    batch=st.integers(1, 20),
    positions=st.one_of(st.none(), st.integers(1, 5000)),
    spread=st.integers(1, 1500),
)
def test_groups_keep_to_their_bounds_and_lose_nothing(lengths, batch, positions, spread):
    order = np.argsort(-lengths, kind="stable")
    groups = bucket(lengths, order, batch, positions, spread)
    assert np.array_equal(np.concatenate(groups), order)
    for group in groups:
        assert 1 <= len(group) <= batch
        assert len(group) == 1 or positions is None or len(group) * lengths[group].max() <= positions
        assert lengths[group].max() - lengths[group].min() <= spread


@settings(max_examples=50, deadline=None)
@given(lengths=lengths_of_documents, batch=st.integers(1, 20), positions=st.one_of(st.none(), st.integers(1, 5000)))
def test_an_epoch_has_every_document_once_in_groups_of_bounded_memory(lengths, batch, positions):
    groups = training_batches(lengths, batch, positions, 400, np.random.default_rng(0))
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    for group in groups:  # gradients cover the spread and 400 tokens of the shortest
        assert len(group) <= batch and lengths[group].max() - lengths[group].min() <= 400
        assert len(group) == 1 or positions is None or len(group) * lengths[group].max() <= positions


def test_a_budget_of_positions_makes_batches_of_short_documents_larger():
    lengths = np.random.default_rng(1).integers(1, 300, 400)
    groups = training_batches(lengths, 200, 1500, 400, np.random.default_rng(0))
    sizes, longest = [len(group) for group in groups], [lengths[group].max() for group in groups]
    assert max(sizes) > 3 * min(sizes) and np.corrcoef(sizes, longest)[0, 1] < -0.5


def test_epochs_differ_and_come_from_the_seed():
    lengths = np.random.default_rng(1).integers(1, 300, 200)

    def draw(rng):
        return [group.tolist() for group in training_batches(lengths, 8, None, 400, rng)]

    rng = np.random.default_rng(0)
    first, second = draw(rng), draw(rng)
    assert first == draw(np.random.default_rng(0)) and first != second
    longest = [lengths[group].max() for group in first]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_documents_of_like_length_stand_together():
    lengths = np.random.default_rng(1).integers(1, 300, 400)
    padded = sum(len(group) * lengths[group].max() for group in training_batches(lengths, 8, None, 400, np.random.default_rng(0)))
    assert padded < 1.1 * lengths.sum()


@settings(max_examples=50, deadline=None)
@given(lengths=lengths_of_documents)
def test_inference_takes_all_documents_longest_first(lengths):
    groups = inference_batches(lengths, 40, 4000)
    order = np.concatenate(groups)
    assert sorted(order) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) <= 0).all()
    assert all(len(group) * lengths[group].max() <= 4000 and len(group) <= 40 for group in groups)


def test_no_documents_make_no_batches():
    assert inference_batches(np.array([], dtype=np.int64), 40, 100) == []
