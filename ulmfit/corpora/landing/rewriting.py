"""Writes a part again without the documents that are forgotten."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ulmfit.corpora.ingest.facts import FACTS
from ulmfit.corpora.ingest.raw_parts import RAW
from ulmfit.corpora.ingest.writing import hashed_file, parquet_writer
from ulmfit.corpora.landing.entries import LandedPart
from ulmfit.corpora.landing.late_labels import read_late_labels
from ulmfit.corpora.landing.origins import read_origins, write_origins
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.reading.opening import open_parquet
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile
from ulmfit.text.cutting import LONGEST_PIECE


def rewrite(folder: str, part: LandedPart, kept: np.ndarray, stem: str) -> LandedPart | None:
    """The part with the documents, or labels, that are ``kept`` (bool [n]) alone, its files named ``stem``; None where nothing is left."""
    if not kept.any():
        return None
    return _texts(folder, part, kept, stem) if part.documents else _labels(folder, part, kept, stem)


def _labels(folder: str, part: LandedPart, kept: np.ndarray, stem: str) -> LandedPart:
    files: dict[str, StoredFile] = {}
    rest = read_late_labels(folder, part.stem).kept(kept.tolist())
    rest.write(folder, stem, files)
    return part.model_copy(update={"stem": stem, "labels": len(rest), "files": files})


def _texts(folder: str, part: LandedPart, kept: np.ndarray, stem: str) -> LandedPart:
    files: dict[str, StoredFile] = {}
    measured: list[str] = []  # of each document the first piece
    with hashed_file(folder, f"{stem}.parquet", files) as file, parquet_writer(file, RAW) as writer:
        for table in _rows(filesystem.join(folder, f"{part.stem}.parquet"), kept):
            measured += [
                text[:LONGEST_PIECE]
                for text, piece in zip(*(table[name].to_pylist() for name in ("text", "piece")), strict=True)
                if not piece
            ]
            writer.write_table(table)
    with filesystem.input_file(filesystem.join(folder, f"{part.stem}.facts.arrow")) as stored:
        facts = pa.ipc.open_file(stored).read_all().filter(pa.array(kept))
        with hashed_file(folder, f"{stem}.facts.arrow", files) as file, pa.ipc.new_file(file, FACTS) as facts_writer:
            facts_writer.write_table(facts.unify_dictionaries().combine_chunks())
    ids, numbers = read_origins(folder, part.stem)
    write_origins(folder, stem, [pair.tobytes() for pair in ids[kept]], numbers[kept].tolist(), files)
    facts_now = {"stem": stem, "documents": int(kept.sum()), "files": files, "measured": measuring.measure(measured)}
    return part.model_copy(update=facts_now)


def _rows(raw: str, kept: np.ndarray) -> Iterator[pa.Table]:
    """The rows of the documents that are kept, a row group at a time."""
    begun = 0
    with open_parquet(raw) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            number = begun + np.cumsum(table["piece"].to_numpy() == 0) - 1
            begun = int(number[-1]) + 1
            table = table.filter(pa.array(kept[number]))
            if len(table):
                yield table
