"""The folder of a trained model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ulmfit.directions import DIRECTIONS
from ulmfit.models.saving import CONFIG, WEIGHTS, read_config
from ulmfit.store.filesystem import write_bytes

FILES = ("labels.json", "tokenizer.json", "vocab.json", *(f"{direction}/{name}" for direction in DIRECTIONS for name in (CONFIG, WEIGHTS)))
LINEAGE = "lineage.json"


def write_bundle(folder: Path, forward: Path, backward: Path, vocab: Path, tokenizer: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Put two classifiers and what they need into one folder. ValueError where a part reads in the wrong direction."""
    for direction, part in zip(DIRECTIONS, (forward, backward), strict=True):
        found = read_config(part, "classifier")["direction"]
        if found != direction:
            raise ValueError(f"{part} reads {found}, and was given as the {direction} classifier")
        (folder / direction).mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS, CONFIG):
            shutil.copyfile(part / name, folder / direction / name)
    shutil.copyfile(vocab, folder / "vocab.json")
    write_bytes(folder / "tokenizer.json", json.dumps(dict(tokenizer), indent=1).encode())
    write_bytes(folder / "labels.json", json.dumps(list(labels), ensure_ascii=False).encode())


def missing(folder: Path) -> list[str]:
    """The files that ``folder`` lacks to be a bundle; none where it is one."""
    return [name for name in FILES if not (folder / name).is_file()]
