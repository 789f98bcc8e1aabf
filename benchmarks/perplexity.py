"""Perplexity of a pretrained language model: per token of the text's own tokens, words outside the vocabulary counted as one unknown word.

    ULMFIT_DATA=DIR python benchmarks/perplexity.py [--pretrained small] [--also FOLDER ...]

Text: the validation articles of WikiText-103 (those of WikiText-2 are the same), made plain text again, and the validation articles of
``wikipedia/``, the first 200,000 tokens of each. ``--also``: other folders of the same language model, say as it was before it was
packed into 8 bits.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ulmfit.corpora.catalog.entries import fetch
from ulmfit.models.saving import load_language_model, read_saved_model
from ulmfit.pretrained.catalog import SHIPPED
from ulmfit.pretrained.transport import pretrained
from ulmfit.shards.documents import Documents
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training import language_modelling

TOKENS = 200_000


def texts(data: Path) -> Iterator[tuple[str, list[str]]]:
    rows = fetch("wikitext-2", data / "none").rows()
    yield "WikiText-103 valid", [row.text or "" for row in rows if row.split == "valid"]
    yield "Wikipedia valid", pq.read_table(str(data / "wikipedia" / "valid.parquet"))["text"].to_pylist()


def measure(folder: Path, tokens: list[list[str]]) -> tuple[float, float]:
    """Perplexity of the language model in ``folder``, and the share of tokens outside its vocabulary."""
    language_modelling.VALIDATION_TOKENS = TOKENS
    vocab = Vocab.load(folder / "vocab.json")
    ids = [vocab.encode(document).astype(vocab.dtype) for document in tokens]
    loss = language_modelling.validate(load_language_model(folder), Documents.of(ids), read_saved_model(folder).direction, "cpu")
    return math.exp(loss or math.nan), float((np.concatenate(ids) == vocab.tokens.index("xxunk")).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", default=SHIPPED)
    parser.add_argument("--also", nargs="*", default=[], type=Path)
    options = parser.parse_args()
    folders = [*pretrained(options.pretrained).folders.values(), *options.also]
    tokenizer = Tokenizer("en", "default")
    for name, documents in texts(Path(os.environ["ULMFIT_DATA"])):
        tokens = tokenizer(documents)
        words = sum(len(text.split()) for text in documents)
        print(f"{name}: {len(documents):,} articles, {words:,} words by white space, {sum(map(len, tokens)):,} tokens")
        for folder in folders:
            found, unknown = measure(folder, tokens)
            print(f"  {folder.parent.name}/{folder.name}: perplexity {found:.2f}, {unknown:.2%} of the tokens unknown")


if __name__ == "__main__":
    main()
