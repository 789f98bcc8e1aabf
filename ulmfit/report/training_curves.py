"""The trainings of a run: for each kind of training the curves of both directions, and the figures that were recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ulmfit.report import plots
from ulmfit.report.numbers import count, number, percent
from ulmfit.report.summary import StageSummary, Summary

# Titles by kind of stage.
TITLES = {
    "pretrain": "Language model, general text",
    "finetune": "Language model, domain text",
    "classify": "Classifier",
    "scratch": "Classifier from scratch",
}
# Titles of facts in the record of a training, and how they are written.
FIGURES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "valid_accuracy": ("validation accuracy", percent),
    "valid_macro_f1": ("validation macro-F1", percent),
    "valid_loss": ("validation loss", number),
    "temperature": ("temperature", number),
    "ece_before": ("calibration error before", percent),
    "ece_after": ("calibration error after", percent),
    "valid_perplexity": ("validation perplexity", number),
    "lr_suggested": ("suggested learning rate", number),
    "steps": ("steps", count),
    "trained_tokens": ("tokens trained on", count),
    "tokens_per_second": ("tokens per second", count),
    "rows_kept": ("embeddings kept", count),
    "rows_new": ("embeddings new", count),
}


@dataclass(frozen=True)
class Training:
    """One kind of training: its plots as SVG, and rows of figures, each with a value per direction."""

    title: str
    plots: list[str]
    directions: list[str]
    figures: list[tuple[str, list[str]]]


def trainings_of(summary: Summary) -> list[Training]:
    """Every kind of training that has something to draw, in the order of the method."""
    kinds: dict[str, list[StageSummary]] = {kind: [] for kind in TITLES}
    for stage in summary.stages:
        if stage.name in summary.histories:
            kinds.setdefault(stage.stage, []).append(stage)
    shown = []
    for kind, stages in kinds.items():
        title = TITLES.get(kind, kind.capitalize())
        histories = {stage.direction or stage.name: summary.histories[stage.name] for stage in stages}
        tests = {stage.direction or stage.name: summary.lr_finders[stage.name] for stage in stages if stage.name in summary.lr_finders}
        drawn = [draw(title, histories) for draw in (plots.loss_svg, plots.accuracy_svg, plots.rate_svg)]
        drawn.append(plots.range_test_svg(title, tests))
        shown.append(Training(title, [svg for svg in drawn if svg], list(histories), _figures(stages)))
    return [training for training in shown if training.plots]


def _figures(stages: Sequence[StageSummary]) -> list[tuple[str, list[str]]]:
    """The figures that at least one of the stages recorded."""
    found = [(title, form, [stage.figure(name) for stage in stages]) for name, (title, form) in FIGURES.items()]
    return [(title, [form(value) for value in values]) for title, form, values in found if set(values) != {None}]
