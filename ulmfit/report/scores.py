"""What the report shows of results besides the systems and the confusion: titles of the scores, sureness, and label by label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS = {"accuracy": "Accuracy", "micro_f1": "Micro-F1", "macro_f1": "Macro-F1", "roc_auc": "ROC AUC"}
NO_LABEL = "no label"


def metrics_of(results: Mapping[str, Any]) -> dict[str, str]:
    """The scores there are and their titles; of several labels the accuracy is that of documents right in all."""
    there = next(iter(results["systems"].values()))
    titles = METRICS | ({"accuracy": "All labels right"} if results["task"] == "multi-label" else {})
    return {metric: title for metric, title in titles.items() if metric in there}


def calibration_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of (system, error before, error after), whether any was calibrated, and the headline's diagram."""
    from ulmfit.report import plots

    errors = results["calibration"]["systems"]
    rows = [(name, error["before"], error["after"]) for name, error in errors.items()]
    return {
        "rows": rows,
        "calibrated": any(before is not None for _, before, _ in rows),
        "plot": plots.reliability_svg(results["headline"], results["calibration"]["reliability"]),
    }


def labels_of(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``per_label`` with the labels' names."""
    return [{"label": label, **scores} for label, scores in zip(results["labels"], results["per_label"], strict=True)]


def told(labels: Any) -> str:
    """A label, or labels in one line."""
    return labels if isinstance(labels, str) else ", ".join(labels) or NO_LABEL
