"""The sentences of a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.results import Estimate
from ulmfit.evaluation.verdict import GateFigures, Sides, SliceFigures

LONGEST = 60  # letters of a name


def evidence(figures: GateFigures, policy: GatePolicy, *, shown: bool, worse: bool) -> str:
    """What is ``shown`` of the challenger's accuracy: enough for the policy, or that it is ``worse`` than the policy allows, or neither."""
    limit = _points(policy.margin)
    better, worse_than = ("better", "worse") if policy.mode == "better" else (f"no more than {limit} worse", f"more than {limit} worse")
    if shown or worse:
        head = f"The challenger is shown to be {better if shown else worse_than}"
    else:
        head = f"It is not shown that the challenger is {better}"
    found = figures.disagreement
    return (
        f"{head}: accuracy {_from_to(figures.accuracy)} on {found.rows:,} held-out rows, {_range(figures.difference)}; "
        f"{found.only_challenger_right:,} rows are right in the challenger alone, {found.only_champion_right:,} in the champion alone."
    )


def faults(figures: GateFigures, policy: GatePolicy) -> Iterator[str]:
    """What speaks against the challenger beside its accuracy on all rows."""
    for found in figures.slices:
        if found.worse:
            yield _of_slice(found, policy)
    errors, allowed = figures.calibration_error, policy.max_calibration_worsening
    if _rise(errors) > allowed:
        yield (
            f"The calibration error rises from {_percent(errors.champion)} to {_percent(errors.challenger)}, "
            f"by more than the {_points(allowed)} that the policy allows."
        )
    for name, unit, sides, factor in _costs(figures, policy):
        if factor is None or sides.champion is None or sides.challenger is None or sides.challenger <= factor * sides.champion:
            continue
        rise = f"{sides.champion:,.4g} to {sides.challenger:,.4g} {unit}"
        yield f"The {name} rises from {rise}, by more than the factor of {factor:g} that the policy allows."


def unmeasured(figures: GateFigures, policy: GatePolicy) -> Iterator[str]:
    """Figures that the policy limits, and that are not known."""
    for name, _, sides, factor in _costs(figures, policy):
        for which, value in (("champion", sides.champion), ("challenger", sides.challenger)):
            if factor is not None and value is None:
                yield f"The {which}'s {name} is not known, and the policy limits it."


def _costs(figures: GateFigures, policy: GatePolicy) -> Iterator[tuple[str, str, Sides, float | None]]:
    yield "latency", "seconds per text", figures.seconds, policy.max_latency_factor
    yield "size", "bytes", figures.bytes, policy.max_size_factor


def _of_slice(found: SliceFigures, policy: GatePolicy) -> str:
    return (
        f"The slice {quoted(found.name)} gets worse: accuracy {_from_to(found.accuracy)} on {found.disagreement.rows:,} rows, "
        f"by more than the {_points(policy.slice_margin)} that the policy allows and more than chance explains (p = {found.p_value:.2g})."
    )


def quoted(name: str) -> str:
    """A name from the data for a sentence: in quotes, what cannot be printed escaped, cut after 60 letters."""
    return repr(name if len(name) <= LONGEST else name[: LONGEST - 1] + "…")


def _rise(sides: Sides) -> float:
    return 0.0 if sides.champion is None or sides.challenger is None else sides.challenger - sides.champion


def _from_to(sides: Sides) -> str:
    return f"from {_percent(sides.champion)} to {_percent(sides.challenger)}"


def _range(difference: Estimate) -> str:
    value, low, high = (f"{100 * (x or 0.0):+.2f}" for x in (difference.value, difference.low, difference.high))
    return f"{value} points ({low} to {high}, valid over all cycles)"


def _points(share: float) -> str:
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
