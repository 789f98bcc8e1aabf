"""Labels as files and programs give them: which values are one, and the label string that follows."""

import math
import re
from decimal import Decimal

from ulmfit.errors import UserError
from ulmfit.labels.label_strings import join_labels

SCALARS = (str, int, float, Decimal)  # a bool is an int
LISTED = re.compile(r"""\[\s*+(?:(?:'[^']*+'|"[^"]*+"|[\d.]++)\s*+,?\s*+)*+\]""")  # how Python, JSON and numpy write a list


class NoLabel(ValueError):
    """The value is no label; the message is the reason."""


def label_string(value: object, separator: str | None) -> str:
    """The label string of a document whose label is ``value``, without outer white space. Raises NoLabel.

    ``separator``: stands between the labels of a document that may have several, which may also be a list; None: it has one label.
    """
    if isinstance(value, list):
        if separator is None:
            raise NoLabel("label is a list: classifier.task=multi-label takes lists")
        return _joined([_scalar(item) for item in value], separator)
    label = _scalar(value)
    if not label:
        raise NoLabel("no label")
    if separator is not None and LISTED.fullmatch(label):
        raise NoLabel(f"label is a list written as text: put {separator!r} between the labels")
    return label


def _joined(labels: list[str], separator: str) -> str:
    try:
        return join_labels(labels, separator)
    except UserError as error:
        held = "with the separator" if all(labels) else "that is empty"
        raise NoLabel(f"label is a list with a label {held}") from error


def _scalar(value: object) -> str:
    """A single label; "" for none. 1 and 1.0 (an integer column with gaps) are both "1"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, SCALARS):
        raise NoLabel(f"label of type {type(value).__name__}, not a string or number")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).replace("\0", "").strip()
