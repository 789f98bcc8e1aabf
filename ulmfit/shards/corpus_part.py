"""Read a part of a corpus, some columns and a thousand rows at a time."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ulmfit.errors import UserError
from ulmfit.store import filesystem


def read_documents(source: str) -> Iterator[tuple[str, str]]:
    """(id, text) of every row of a corpus part. The pieces of a long document follow each other with its id."""
    for batch in read_batches(source, ["id", "text"]):
        yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)


def read_batches(source: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a corpus part, 1,000 rows at a time. UserError where it is no corpus part or lacks a column."""
    try:
        with filesystem.input_file(source) as file, pq.ParquetFile(file, pre_buffer=False) as part:
            missing = set(columns) - set(part.schema_arrow.names)
            if missing:
                raise pa.ArrowInvalid(f"it has no column {sorted(missing)[0]!r}")
            yield from part.iter_batches(batch_size=1000, columns=columns)
    except pa.ArrowInvalid as error:
        raise UserError(
            f"{source}: not a part of a corpus ({str(error).splitlines()[0]}); delete the corpus artifact and run again"
        ) from error


def document_columns(source: str, columns: list[str]) -> pa.Table:
    """Columns of strings that a document has once: a row per document."""
    batches = list(read_batches(source, [*columns, "piece"]))
    empty = pa.schema([(name, pa.string()) for name in columns])
    if not batches:
        return empty.empty_table()
    table = pa.Table.from_batches(batches)
    return table.filter(pc.equal(table["piece"], 0)).select(columns).cast(empty).combine_chunks()
