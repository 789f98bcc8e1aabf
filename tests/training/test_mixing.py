"""What a language model goes on with: all that is new, and as much of the old as is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ulmfit.shards.documents import Documents
from ulmfit.training.mixing import mixed

DOCUMENTS = Documents.of([np.full(length, place, np.uint16) for place, length in enumerate([10] * 60 + [20] * 5)])
NEW = np.arange(65) >= 60


def chosen(replay: float, seed: int = 0, new: np.ndarray = NEW) -> list[int]:
    found = mixed(DOCUMENTS, new, replay, seed)
    return [int(found.doc(row)[0]) for row in range(len(found))]


@pytest.mark.parametrize(("replay", "old"), [(0.0, 0), (0.5, 5), (1.0, 10), (2.0, 20), (100.0, 60)])
def test_all_new_documents_and_so_many_old_tokens(replay, old):
    found = chosen(replay)
    assert found[-5:] == [60, 61, 62, 63, 64] and len(found) == old + 5 and found == sorted(set(found))


def test_the_seed_draws():
    assert chosen(1.0) == chosen(1.0) != chosen(1.0, seed=1)


def test_without_new_documents_there_is_nothing_to_go_on_with():
    assert chosen(1.0, new=np.zeros(65, bool)) == []


def test_where_all_is_new_all_is_taken():
    assert len(chosen(1.0, new=np.ones(65, bool))) == 65
