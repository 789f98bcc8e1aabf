"""Arrow IPC files, written atomically and read memory-mapped."""

from pathlib import Path

import pyarrow as pa

from ulmfit.errors import UserError
from ulmfit.store import filesystem

TOKENS_SUFFIX = ".tokens.arrow"
COUNTS_SUFFIX = ".counts.arrow"
IDS_SUFFIX = ".ids.arrow"

SPLIT = pa.dictionary(pa.int8(), pa.string())


def write_ipc(location: str | Path, table: pa.Table) -> None:
    """Write ``table`` as an Arrow IPC file of one record batch; a reader sees all of it or nothing.

    A local file is uncompressed, so that it can be memory-mapped; on object storage zstd spares the network. OSError (with its
    errno, as where the disk is full) leaves neither the file nor a rest of it.
    """
    options = pa.ipc.IpcWriteOptions(compression="zstd" if filesystem.is_remote(location) else None)
    with filesystem.output_file(location) as file, pa.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_batch(one_batch(table))


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The rows of ``table`` as one record batch, also where there are none."""
    batches = table.combine_chunks().to_batches()
    if not batches:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    assert len(batches) == 1, "combine_chunks left more than one batch: a column is past the reach of 32-bit offsets"
    return batches[0]


def read_ipc(location: str | Path) -> pa.Table:
    """The table in an Arrow IPC file; of a local one that is uncompressed, the columns are read-only views of the mapped file.

    FileNotFoundError where there is none; UserError where it is no Arrow file or is cut short.
    """
    with filesystem.input_file(location) as file:
        try:
            return pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid as error:
            raise UserError(f"{location}: not a whole Arrow file; delete it and run again") from error
