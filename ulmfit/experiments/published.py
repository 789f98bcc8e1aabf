"""What the paper reports (Howard & Ruder 2018), as error rates in percent. Facts, to stand beside ours."""

from typing import Literal

Published = dict[str, tuple[float, float, float]]  # row -> IMDb, TREC-6, AG
CORPORA = ("imdb", "trec-6", "ag-news")  # in the order of these columns, by their names here

TableNumber = Literal[4, 5, 6, 7]

# Sec. 5: on a tenth of the training rows, forward alone, 50 epochs of the classifier; all but ULMFiT stop early.
TABLES: dict[TableNumber, tuple[str, Published]] = {
    4: ("Pretraining", {"Without pretraining": (5.63, 10.67, 5.52), "With pretraining": (5.00, 5.69, 5.38)}),
    5: ("Language model", {"Vanilla LM": (5.98, 7.41, 5.76), "AWD-LSTM LM": (5.00, 5.69, 5.38)}),
    6: (
        "Fine-tuning of the language model",
        {
            "No LM fine-tuning": (6.99, 6.38, 6.09),
            "Full": (5.86, 6.54, 5.61),
            "Full + discr": (5.55, 6.36, 5.47),
            "Full + discr + stlr": (5.00, 5.69, 5.38),
        },
    ),
    7: (
        "Fine-tuning of the classifier",
        {
            "From scratch": (9.93, 13.36, 6.81),
            "Full": (6.87, 6.86, 5.81),
            "Full + discr": (5.57, 6.21, 5.62),
            "Last": (6.49, 16.09, 8.38),
            "Chain-thaw": (5.39, 6.71, 5.90),
            "Freez": (6.37, 6.86, 5.81),
            "Freez + discr": (5.39, 5.86, 6.04),
            "Freez + stlr": (5.04, 6.02, 5.35),
            "Freez + cos": (5.70, 6.38, 5.29),
            "Freez + discr + stlr": (5.00, 5.69, 5.38),
        },
    ),
}

# Sec. 5, "Impact of bidirectionality", IMDb's test rows.
ONE_DIRECTION, BOTH_DIRECTIONS = 5.30, 4.58


def published(table: TableNumber, row: str, corpus: str) -> float | None:
    """The paper's error rate in percent; None for a corpus that its table has not."""
    return TABLES[table][1][row][CORPORA.index(corpus)] if corpus in CORPORA else None
