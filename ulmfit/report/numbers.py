"""Numbers as people read them; None is a dash."""

from ulmfit.evaluation.results import Estimate

MISSING = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """A share, 0 to 1, in percent."""
    return MISSING if share is None else f"{100 * share:.{digits}f}%"


def portion(share: float | None) -> str:
    """A share in percent; one above zero never looks like zero."""
    return "<0.1%" if share is not None and 0 < share < 0.0005 else percent(share)


def points(share: float | None) -> str:
    """A difference of shares in percentage points."""
    return MISSING if share is None else f"{100 * share:z.1f}".replace("-", "−")


def signed(share: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return MISSING if share is None else f"{100 * share:+z.1f}".replace("-", "−")


def interval(estimate: Estimate) -> str:
    """The interval of an estimate in percentage points; empty where there is none."""
    return "" if estimate.low is None or estimate.high is None else f"[{points(estimate.low)}, {points(estimate.high)}]"


def count(value: float | None) -> str:
    """A whole number with a comma between thousands."""
    return MISSING if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """Four digits, or all of them before the point."""
    return MISSING if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def size(bytes_: float | None) -> str:
    """Bytes, in powers of 1000."""
    if bytes_ is None:
        return MISSING
    value, unit = bytes_, "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:,.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:,.1f} {unit}"


def duration(seconds: float | None) -> str:
    """Milliseconds, seconds, minutes or hours, as fits."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds >= 0.0995 else f"{1000 * seconds:.0f} ms"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
