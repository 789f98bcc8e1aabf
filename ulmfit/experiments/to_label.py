"""The file of texts to label: the rows as they were given, with a column for the label. It can be a corpus once that is filled in."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from ulmfit.labels.label_values import NoLabel, label_string
from ulmfit.prediction.answer_files import as_text, plain
from ulmfit.prediction.answers import Summary
from ulmfit.prediction.records import Record
from ulmfit.store.json import JsonObject


@dataclass(frozen=True)
class ToLabel:
    """The columns: those of the ``inputs``, and the column ``label`` unless it is one of them."""

    inputs: Mapping[str, pa.DataType]
    label: str

    @property
    def schema(self) -> pa.Schema:
        return pa.schema({**self.inputs, self.label: pa.string()})

    def nested(self, record: Record) -> JsonObject:
        """A record as JSON."""
        return {name: plain(value) for name, value in record.cells.items()} | {self.label: None}

    def flat(self, record: Record) -> dict[str, object]:
        """A record as a row of a table."""
        return {name: record.cells.get(name) for name in self.inputs} | {self.label: None}

    def texts(self, record: Record) -> dict[str, str | None]:
        """A record as a row of text."""
        return {name: as_text(value) for name, value in self.flat(record).items()}


def is_labelled(record: Record, column: str) -> bool:
    """Whether a record has something in its column for the label."""
    try:
        return bool(label_string(record.cells.get(column), None))
    except NoLabel as reason:
        return str(reason) != "no label"


@dataclass
class Counts(Summary):
    """Counts of the rows from which texts to label are chosen; ``labelled``: those that have a label already, or were given out."""

    labelled: int = 0

    @property
    def line(self) -> str:
        """One line for the user."""
        said = [f"{self.rows:,} row{'' if self.rows == 1 else 's'}"]
        if self.labelled:
            said.append(f"{self.labelled:,} labelled already")
        if self.refused:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.refused.most_common())
            said.append(f"{self.refused.total():,} without a text ({reasons}); the first is {self.first}")
        return ", ".join(said)
