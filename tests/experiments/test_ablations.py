"""The variants of the paper's ablations: rows as the paper names them, settings that exist and differ."""

import pytest

from ulmfit.experiments.ablations import FORGETTING, ROWS, VARIANTS, WHOLE, variants
from ulmfit.experiments.published import CORPORA, TABLES, published
from ulmfit.presets import override, preset
from ulmfit.training.epochs import CLASSIFIER_EPOCHS


def test_every_row_of_the_papers_tables_has_a_variant_and_each_variant_a_row() -> None:
    assert {table: list(rows) for table, rows in ROWS.items()} == {table: list(rows) for table, (_, rows) in TABLES.items()}
    assert {variant for rows in ROWS.values() for variant in rows.values()} | {FORGETTING} == set(VARIANTS)


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_settings_of_variants_exist_and_no_two_are_the_same(name: str) -> None:
    found = {variant: override(preset(name), list(one.options)) for variant, one in VARIANTS.items()}
    keys = {
        variant: (settings.model_dump_json(), VARIANTS[variant].regime, VARIANTS[variant].method) for variant, settings in found.items()
    }
    assert len(set(keys.values())) == len(VARIANTS)
    whole = found[WHOLE]
    assert (whole.classifier.unfreeze, whole.classifier.schedule, whole.classifier.decay, whole.classifier.patience) == (
        "gradual",
        "stlr",
        2.6,
        None,
    )
    assert found["vanilla LM"].finetune.dropouts.weight == found["vanilla LM"].classifier.dropouts.weight == 0
    assert found["chain-thaw"].classifier.unfreeze == "chain-thaw" and found["freez + cos"].classifier.schedule == "cosine"


def test_all_but_the_whole_method_keep_the_best_of_all_their_epochs() -> None:
    for variant, one in VARIANTS.items():
        patience = override(preset("small"), list(one.options)).classifier.patience
        if variant in (WHOLE, "vanilla LM", FORGETTING):
            assert patience is None, variant
        else:
            assert patience and patience > CLASSIFIER_EPOCHS[1], variant


def test_what_is_asked_for_is_tried_once() -> None:
    assert variants([4, 5], figure=False) == [WHOLE, "no pretraining", "vanilla LM"]
    assert variants([7], figure=True)[-1] == FORGETTING and len(variants([4, 5, 6, 7], True)) == len(VARIANTS)


def test_the_whole_method_is_the_same_row_of_each_table() -> None:
    whole = [
        [published(table, row, corpus) for corpus in CORPORA]
        for table, rows in ROWS.items()
        for row, variant in rows.items()
        if variant == WHOLE
    ]
    assert whole == [[5.00, 5.69, 5.38]] * 4
    assert published(7, "Last", "trec-6") == 16.09 and published(7, "Last", "tickets.csv") is None
