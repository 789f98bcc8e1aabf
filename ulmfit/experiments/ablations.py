"""The variants of the paper's Tables 4 to 7 and Figure 4, as settings that differ from the whole method's.

Rates of the classifier are the paper's (sec. 5): 0.01 with discriminative fine-tuning, else 0.001. Its chain-thaw learns at 0.0001 but for
the last layer; here all layers have one rate, a step's groups being one at a time. As in the paper, all but ULMFiT may
stop early: they end with the weights of their best epoch.
"""

from dataclasses import dataclass

from ulmfit.experiments.published import TableNumber
from ulmfit.experiments.trial import MethodName, Regime

WHOLE = "ULMFiT"
FORGETTING = "Full, every epoch"  # Figure 4 shows it past the epoch at which it would stop


@dataclass(frozen=True)
class Variant:
    """A row of an ablation: its settings, and where its language model comes from."""

    options: tuple[str, ...] = ()
    regime: Regime | None = "general+domain"
    method: MethodName = "ulmfit"


def _dropouts(stage: str, **values: float) -> tuple[str, ...]:
    names = ("output", "hidden", "input", "embedding", "weight")
    return tuple(f"{stage}.dropouts.{name}={values.get(name, 0.0)}" for name in names)


# Of all epochs: one of a few hundred documents has so few steps that after five without a better loss a network from scratch has not begun.
STOPS = ("classifier.patience=1000",)
DISCR, ONE_RATE = ("classifier.decay=2.6", "classifier.lr=0.01"), ("classifier.decay=1.0", "classifier.lr=0.001")
STLR, CONSTANT, COS = (f"classifier.schedule={name}" for name in ("stlr", "constant", "cosine"))
FULL, FREEZ, LAST, CHAIN_THAW = (f"classifier.unfreeze={name}" for name in ("full", "gradual", "last", "chain-thaw"))
LM_DISCR, LM_ONE_RATE = "finetune.decay=2.6", "finetune.decay=1.0"
LM_STLR, LM_CONSTANT = "finetune.schedule=stlr", "finetune.schedule=constant"

_LM, _CLASSIFIER = (LM_DISCR, LM_STLR), (*DISCR, STLR, FREEZ)
_WITHOUT = (*_dropouts("finetune"), "finetune.alpha=0", "finetune.beta=0", *_dropouts("classifier"), "classifier.epochs=5")


def _classifier(*options: str) -> Variant:
    return Variant((*_LM, *options, *STOPS))


VARIANTS: dict[str, Variant] = {
    WHOLE: Variant((*_LM, *_CLASSIFIER)),
    "no pretraining": Variant((*_LM, *_CLASSIFIER, *STOPS), regime="domain"),
    "vanilla LM": Variant((*_LM, *_CLASSIFIER, *_WITHOUT)),
    "LM not tuned": Variant(("finetune.epochs=0", *_CLASSIFIER, *STOPS), regime="general"),
    "LM full": Variant((LM_ONE_RATE, LM_CONSTANT, *_CLASSIFIER, *STOPS)),
    "LM full + discr": Variant((LM_DISCR, LM_CONSTANT, *_CLASSIFIER, *STOPS)),
    "classifier from scratch": Variant((*ONE_RATE, STLR, *STOPS), regime=None, method="scratch"),
    "full": _classifier(*ONE_RATE, CONSTANT, FULL),
    "full + discr": _classifier(*DISCR, CONSTANT, FULL),
    "last": _classifier(*ONE_RATE, CONSTANT, LAST),
    "chain-thaw": _classifier(*ONE_RATE, CONSTANT, CHAIN_THAW),
    "freez": _classifier(*ONE_RATE, CONSTANT, FREEZ),
    "freez + discr": _classifier(*DISCR, CONSTANT, FREEZ),
    "freez + stlr": _classifier(*ONE_RATE, STLR, FREEZ),
    "freez + cos": _classifier(*ONE_RATE, COS, FREEZ),
    FORGETTING: Variant((*_LM, *ONE_RATE, CONSTANT, FULL)),
}

# The rows of each table, by the paper's names.
ROWS: dict[TableNumber, dict[str, str]] = {
    4: {"Without pretraining": "no pretraining", "With pretraining": WHOLE},
    5: {"Vanilla LM": "vanilla LM", "AWD-LSTM LM": WHOLE},
    6: {"No LM fine-tuning": "LM not tuned", "Full": "LM full", "Full + discr": "LM full + discr", "Full + discr + stlr": WHOLE},
    7: {
        "From scratch": "classifier from scratch",
        "Full": "full",
        "Full + discr": "full + discr",
        "Last": "last",
        "Chain-thaw": "chain-thaw",
        "Freez": "freez",
        "Freez + discr": "freez + discr",
        "Freez + stlr": "freez + stlr",
        "Freez + cos": "freez + cos",
        "Freez + discr + stlr": WHOLE,
    },
}


def variants(tables: list[TableNumber], figure: bool) -> list[str]:
    """The variants that these tables, and Figure 4, need, each once; the whole method first."""
    needed = [variant for table in tables for variant in ROWS[table].values()]
    return list(dict.fromkeys([WHOLE, *needed, *([FORGETTING] if figure else [])]))
