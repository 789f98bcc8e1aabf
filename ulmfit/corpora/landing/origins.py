"""Where documents come from: for each document of a part the digest of its id, and the number of its file in the arrival."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ulmfit.corpora.ingest.writing import hashed_file
from ulmfit.corpora.text_digests import DIGEST
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile

ORIGINS = pa.schema({"id": pa.binary(DIGEST), "file": pa.int32()})


def write_origins(folder: str, stem: str, ids: Sequence[bytes], numbers: Sequence[int], files: dict[str, StoredFile]) -> None:
    """Write the origins of the part ``stem``; the file's digest goes into ``files``."""
    batch = pa.RecordBatch.from_arrays([pa.array(ids, pa.binary(DIGEST)), pa.array(numbers, pa.int32())], schema=ORIGINS)
    with hashed_file(folder, f"{stem}.origins.arrow", files) as file, pa.ipc.new_file(file, ORIGINS) as writer:
        writer.write_batch(batch)


def read_origins(folder: str, stem: str) -> tuple[np.ndarray, np.ndarray]:
    """The digests of ids, uint64 [n, 2], and the numbers of files, int32 [n]."""
    with filesystem.input_file(filesystem.join(folder, f"{stem}.origins.arrow")) as file:
        table = pa.ipc.open_file(file).read_all().combine_chunks()
        return np.frombuffer(b"".join(table["id"].to_pylist()), np.uint64).reshape(-1, 2), table["file"].to_numpy().astype(np.int32)
