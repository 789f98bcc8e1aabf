"""Labels that come without a text, for the id of a document."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ulmfit.corpora.ingest.writing import hashed_file
from ulmfit.corpora.text_digests import DIGEST
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile

LABELS = pa.schema({"id": pa.binary(DIGEST), "label": pa.string(), "file": pa.int32()})


@dataclass
class LateLabels:
    """Labels in the order in which they came: digests of ids, label strings, and numbers of files in the arrival."""

    ids: list[bytes] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, name: bytes, label: str, file: int) -> None:
        """Add the label of an id."""
        self.ids.append(name)
        self.labels.append(label)
        self.files.append(file)

    def write(self, folder: str, stem: str, files: dict[str, StoredFile]) -> None:
        """Write them, if there are any; the file's digest goes into ``files``."""
        if self.ids:
            columns = [pa.array(self.ids, pa.binary(DIGEST)), pa.array(self.labels, pa.string()), pa.array(self.files, pa.int32())]
            with hashed_file(folder, f"{stem}.labels.arrow", files) as file, pa.ipc.new_file(file, LABELS) as writer:
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=LABELS))

    def kept(self, which: Sequence[bool]) -> "LateLabels":
        """Some of them."""
        rows = [row for row, keep in zip(zip(self.ids, self.labels, self.files, strict=True), which, strict=True) if keep]
        return LateLabels(*map(list, zip(*rows, strict=True))) if rows else LateLabels()

    @property
    def digests(self) -> np.ndarray:
        """The digests of the ids, uint64 [n, 2]."""
        return np.frombuffer(b"".join(self.ids), np.uint64).reshape(-1, 2)


def read_late_labels(folder: str, stem: str) -> LateLabels:
    """What :meth:`LateLabels.write` has written."""
    with filesystem.input_file(filesystem.join(folder, f"{stem}.labels.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
        return LateLabels(*(table[name].to_pylist() for name in LABELS.names))
