"""The presets tiny, small and base, and how single settings of them are changed."""

from typing import Any

import yaml
from pydantic import ValidationError

from ulmfit.config import ClassifierConfig, Dropouts, EvaluateConfig, LMConfig, ModelConfig, Settings, VocabConfig
from ulmfit.errors import UserError

FOLDS = 5  # by which a classifier of few documents finds how sure to be


def base() -> Settings:
    """The paper's sizes and rates (sec. 4.1); 1150 is rounded up to 1152, a multiple of 64."""
    return Settings(
        general_vocab=VocabConfig(max_size=30_000),
        pretrain=LMConfig(epochs=10, dropouts=Dropouts(output=0.1, hidden=0.15, input=0.25, embedding=0.02, weight=0.2)),
        finetune=LMConfig(epochs=15, decay=2.6),
        classifier=ClassifierConfig(epochs=50, folds=FOLDS),
        words=True,
    )


def small() -> Settings:
    """Sized for two CPU cores: minutes, not days. The sizes are those of the language model that comes with the project.

    It learns without dropouts and penalties, for it sees no text often enough to learn it by heart; its rate lies
    between 0.002 and 0.004, which were tried on short trainings (docs/decisions, 2026-11-25). The classifier's lower layers learn
    faster than the paper's ``decay`` of 2.6 would let them (docs/results/low_shot.md).
    """
    none = Dropouts(output=0.0, hidden=0.0, input=0.0, embedding=0.0, weight=0.0)
    mild = Dropouts(output=0.1, hidden=0.1, input=0.1, embedding=0.02, weight=0.1)
    return Settings(
        general_vocab=VocabConfig(max_size=24_000),
        vocab=VocabConfig(max_size=24_000, min_count=2),
        model=ModelConfig(embedding=256, hidden=512, layers=2),
        pretrain=LMConfig(
            epochs=2, batch_size=128, lr=0.003, alpha=0, beta=0, dropouts=none, sampled=2048, valid_every=500, max_tokens=90_000_000
        ),
        finetune=LMConfig(epochs="auto", lr=0.003, dropouts=mild, sampled=2048),
        classifier=ClassifierConfig(
            epochs="auto",
            batch_size=32,
            lr=0.005,
            decay=1.3,
            max_tokens=1000,
            max_gradient_tokens=400,
            dropouts=mild.scaled(2),
            folds=FOLDS,
        ),
        words=True,
    )


def tiny() -> Settings:
    """Seconds: for tests and first tries; its models are not good."""
    none = Dropouts(output=0.0, hidden=0.0, input=0.0, embedding=0.0, weight=0.1)
    lm = LMConfig(epochs=1, batch_size=8, bptt=20, lr=0.01, dropouts=none, max_tokens=20_000)
    return Settings(
        general_vocab=VocabConfig(max_size=1_000, min_count=1),
        vocab=VocabConfig(max_size=1_000, min_count=1),
        model=ModelConfig(embedding=16, hidden=32, layers=2),
        pretrain=lm,
        finetune=lm,
        classifier=ClassifierConfig(epochs=3, batch_size=16, bptt=20, max_gradient_tokens=100, hidden=16, dropouts=none),
        evaluate=EvaluateConfig(bootstrap=200),
    )


PRESETS = {"tiny": tiny, "small": small, "base": base}

# How a language model is pretrained, whatever its size: the method's own way, or that of the AWD-LSTM's authors.
PRETRAINING: dict[str, dict[str, Any]] = {
    # Howard & Ruder 2018, sec. 4.1: Adam without cycles of its momentum, along the slanted triangle.
    "ulmfit": {"optimizer": "adam", "schedule": "stlr", "betas": (0.7, 0.99), "clip": 0.25, "alpha": 2.0, "beta": 1.0},
    # Merity et al. 2017, sec. 5: SGD at 30, averaged once the validation loss has not improved for five checks.
    "awd-lstm": {
        "optimizer": "nt-asgd",
        "schedule": "constant",
        "lr": 30.0,
        "nonmono": 5,
        "clip": 0.25,
        "weight_decay": 1.2e-6,
        "alpha": 2.0,
        "beta": 1.0,
        "bptt": 70,
    },
}


def pretraining(settings: Settings, recipe: str) -> Settings:
    """``settings`` with the named way of pretraining; UserError for a name that is none."""
    if recipe not in PRETRAINING:
        raise UserError(f"there is no pretraining recipe {recipe!r}; choose one of: {', '.join(PRETRAINING)}")
    return settings.model_copy(update={"pretrain": settings.pretrain.model_copy(update=PRETRAINING[recipe])})


def preset(name: str) -> Settings:
    """The named preset; UserError for a name that is none."""
    if name not in PRESETS:
        raise UserError(f"there is no preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return PRESETS[name]()


def override(settings: Settings, assignments: list[str]) -> Settings:
    """``settings`` with ``stage.option=value`` assignments applied, values read as YAML.

    Raises UserError naming the assignment, and the options there are where the name is not one of them.
    """
    tree = settings.model_dump()
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        if not sign:
            raise UserError(f"--set {assignment}: write stage.option=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"--set {assignment}: {text!r} is no YAML value; put text with special characters into quotes") from error
        _assign(tree, path.strip(), value, assignment)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"--set {where}: {first['msg']} (given: {first['input']!r})") from error


def _assign(tree: dict[str, Any], path: str, value: Any, assignment: str) -> None:
    *parents, leaf = path.split(".")
    node: Any = tree
    for name in parents:
        node = node.get(name) if isinstance(node, dict) else None
    if not isinstance(node, dict) or leaf not in node:
        known = ", ".join(sorted(node)) if isinstance(node, dict) else ", ".join(sorted(tree))
        raise UserError(f"--set {assignment}: there is no option {path!r}; there are: {known}")
    node[leaf] = value
