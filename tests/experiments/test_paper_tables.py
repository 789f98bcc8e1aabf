"""The paper's tables beside ours."""

import pytest

from tests.experiments.study import trial
from ulmfit.experiments.ablations import ROWS, VARIANTS
from ulmfit.experiments.paper_tables import paper_tables
from ulmfit.experiments.trial import TrialResult


def tried(variant: str, accuracy: float, number: int = 0, corpus: str = "trec-6") -> TrialResult:
    return trial(accuracy, number, variant=variant, corpus=corpus, method="ulmfit", regime="general+domain")


def test_a_variant_is_so_much_worse_than_the_whole_method_here_and_there() -> None:
    results = [tried("ULMFiT", 0.9), tried("ULMFiT", 0.8, 1), tried("no pretraining", 0.7), tried("no pretraining", 0.58, 1)]
    (without, whole) = paper_tables("trec-6", results)["Table 4: Pretraining"]
    assert (without.title, without.paper, without.paper_worse) == ("Without pretraining", pytest.approx(0.1067), pytest.approx(0.0498))
    assert without.ours.value == pytest.approx(0.36) and without.worse and without.worse.value == pytest.approx(0.21)
    assert without.worse.low == pytest.approx(0.21 - 12.706 * 0.01, abs=1e-4), "of the trials' differences, 0.20 and 0.22"
    assert (whole.ours.value, whole.worse, whole.paper, whole.paper_worse) == (pytest.approx(0.15), None, pytest.approx(0.0569), None)


def test_a_table_is_shown_only_where_all_its_rows_were_tried_and_other_corpora_have_no_paper() -> None:
    tables = paper_tables("c", [tried("ULMFiT", 0.9, corpus="c"), tried("no pretraining", 0.8, corpus="c")])
    assert list(tables) == ["Table 4: Pretraining"]
    assert all(row.paper is None and row.paper_worse is None for rows in tables.values() for row in rows)


def test_every_table_ends_with_the_whole_method_which_alone_is_beside_nothing() -> None:
    tables = paper_tables("imdb", [tried(variant, 0.9, corpus="imdb") for variant in VARIANTS])
    assert len(tables) == len(ROWS)
    for rows in tables.values():
        assert [row.worse is None for row in rows] == [row.paper_worse is None for row in rows] == [False] * (len(rows) - 1) + [True]
