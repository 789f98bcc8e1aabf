"""Curves of a training, as plots and pages draw them."""

from collections.abc import Sequence

from ulmfit.report.summary import CurvePoint

MAX_POINTS = 500

Curve = tuple[list[float], list[float]]


def curves_of(history: Sequence[CurvePoint]) -> dict[str, Curve]:
    """Steps and values by curve name, in order of step, at most about 500 of them; values that are None or not finite are left out."""
    curves: dict[str, Curve] = {}
    for point in sorted(history, key=lambda point: point.step):
        if point.value is not None and abs(point.value) < float("inf"):
            steps, values = curves.setdefault(point.name, ([], []))
            steps.append(point.step)
            values.append(point.value)
    return {name: (_thinned(steps), _thinned(values)) for name, (steps, values) in curves.items()}


def _thinned(values: list[float]) -> list[float]:
    every = -(-len(values) // MAX_POINTS)
    return values if every <= 1 else [*values[: len(values) - 1 : every], values[-1]]
