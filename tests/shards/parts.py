"""Parts of a corpus, and the shards made of them, for tests."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ulmfit.shards.arrow import IDS_SUFFIX, SPLIT, TOKENS_SUFFIX, write_ipc
from ulmfit.shards.counts import CountSpec, count_parts
from ulmfit.shards.encode import EncodeSpec, encode_part
from ulmfit.shards.tokenise import TokenizeSpec
from ulmfit.text.cutting import pieces
from ulmfit.text.vocab import Vocab

TEXTS = ["The cat sat.", "", "The dog, the cat!", "A mouse."]
LABELS = ["pos", None, "neg", "neg"]
SPLITS = ["train", "unlabelled", "train", "test"]


def write_corpus(folder: Path, part: str, texts: list[str], labels=None, splits=None, longest: int = 10**6) -> str:
    """A part of a corpus; a text longer than ``longest`` in pieces."""
    folder.mkdir(exist_ok=True)
    rows = [
        (f"{part}/{number}", piece, label, split, place)
        for number, (text, label, split) in enumerate(
            zip(texts, labels or [None] * len(texts), splits or ["train"] * len(texts), strict=True)
        )
        for place, piece in enumerate(pieces(text, longest))
    ]
    columns = dict(zip(("id", "text", "label", "split", "piece"), zip(*rows, strict=True), strict=True)) if rows else {}
    types = {"id": pa.string(), "text": pa.string(), "label": pa.string(), "split": pa.string(), "piece": pa.int32()}
    path = folder / f"{part}.parquet"
    pq.write_table(pa.table({name: pa.array(columns.get(name, ()), kind) for name, kind in types.items()}), path, compression="zstd")
    return str(path)


def encode(spec: TokenizeSpec, tmp_path: Path, vocab: Vocab, labels=("neg", "pos")):
    vocab.save(tmp_path / "vocab.json")
    folder, part = tmp_path / "ids", Path(spec.source).stem
    shard = str(Path(spec.folder) / f"{part}{TOKENS_SUFFIX}")
    again = EncodeSpec(shard, spec.source, str(tmp_path / "vocab.json"), labels, str(folder))
    return folder, again, encode_part(again)


def count(tokens_folder, spec, splits, name="0"):
    part = (str(tokens_folder / f"{Path(spec.source).stem}{TOKENS_SUFFIX}"), spec.source)
    return count_parts(CountSpec((part,), splits, str(tokens_folder / "counting"), name))


def as_counter(table):
    return Counter(dict(zip(table["token"].to_pylist(), table["count"].to_pylist(), strict=True)))


def table(counts):
    return pa.table({"token": pa.array(counts, pa.string()), "count": pa.array(counts.values(), pa.int64())})


def ids_table(documents, labels=None, dtype=np.uint16, prefix="d", splits=None):
    flat = np.concatenate([np.empty(0, dtype), *(np.asarray(document, dtype) for document in documents)])
    offsets = np.cumsum([0, *map(len, documents)], dtype=np.int32)
    codes = [-1] * len(documents) if labels is None else labels
    columns = {
        "id": pa.array([f"{prefix}{i}" for i in range(len(documents))], pa.string()),
        "ids": pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat)),
        "label": pa.array(codes, pa.int32()),
        "split": pa.array(splits or ["train"] * len(documents), pa.string()).cast(SPLIT),
    }
    return pa.table(columns)


def write_part(folder, part, documents, **options):
    write_ipc(folder / f"{part}{IDS_SUFFIX}", ids_table(documents, prefix=f"{part}/", **options))
