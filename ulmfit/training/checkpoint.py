"""Checkpoints of a training: it can be killed at any moment, and continues from the last checkpoint that is whole.

A checkpoint is a folder, ``step-000000123`` or ``best``: tensors in ``state.safetensors``, all else in ``state.json`` with
the digests of both. It is written under another name and renamed when it is whole, so a reader sees all of it or nothing.
"""

import errno
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ulmfit.store import filesystem
from ulmfit.store.digests import is_intact
from ulmfit.store.json import JsonObject

log = logging.getLogger(__name__)

FORMAT = 1
FOLDER = "checkpoints"  # beside a model's files, while it is trained
TENSORS, FACTS = "state.safetensors", "state.json"
BEST = "best"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

# Prefixes of folders that are not checkpoints: unfinished, replaced by a newer one of the same name, being removed.
NEW, OLD, GONE = ".new-", ".old-", ".gone-"

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass(frozen=True)
class Checkpoint:
    """The state after ``step``: ``tensors`` on the CPU, and ``facts``, which the loop writes and reads."""

    step: int
    tensors: dict[str, Tensor]
    facts: JsonObject = field(default_factory=dict)


class Checkpoints:
    """The newest ``keep`` checkpoints of one training and its best one, in ``folder``.

    One process at a time opens a folder, and clears away what a killed one left unfinished. ``every``: seconds between two
    checkpoints (see :meth:`due`).
    """

    def __init__(self, folder: Path, keep: int = 2, every: float = 60.0):
        if keep < 1:
            raise ValueError(f"keep is the number of checkpoints to keep, 1 or more, not {keep}")
        self.folder, self.keep, self.every = Path(folder), keep, every
        self._last = time.monotonic()
        self._damaged: set[str] = set()  # reported already
        self._full = False  # reported already
        self._tidy()

    def due(self) -> bool:
        """Whether ``every`` seconds have passed since the last save, or since the folder was opened."""
        return time.monotonic() - self._last >= self.every

    def save(self, step: int, tensors: dict[str, Tensor], facts: JsonObject) -> bool:
        """Write a checkpoint. Remove all but the newest ``keep``, and those of later steps, which another attempt left.

        ``tensors`` may lie on any device, share memory or be strided. ``facts``: plain JSON. Returns False where the disk is
        full or the quota used up: that is logged once, and the existing checkpoints stay. Other OSErrors are raised.
        """
        try:
            self._write(f"step-{step:09d}", step, tensors, facts)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            if not self._full:
                log.warning("%s: a checkpoint could not be written: %s; training goes on without it", self.folder, error.strerror)
            self._full = True
        else:
            self._full = False
            self._prune(step)
        self._last = time.monotonic()
        return not self._full

    def save_best(self, step: int, tensors: dict[str, Tensor], facts: JsonObject) -> None:
        """Replace the best checkpoint; OSError where it cannot be written (the one before it stays), for the result depends on it."""
        self._write(BEST, step, tensors, facts)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole. A warning names each that is not, once."""
        return next(filter(None, (self._read(name) for name in reversed(self._names()))), None)

    def best(self) -> Checkpoint | None:
        """The best checkpoint; None where there is none, or it is damaged, of which a warning is given."""
        return self._read(BEST) if (self.folder / BEST).exists() else None

    def clear(self) -> None:
        """Remove the folder, newest checkpoints last: a training whose clearing was cut short can still go on."""
        for name in [*self._names(), BEST]:
            self._discard(name)
        filesystem.remove(self.folder)

    def _names(self) -> list[str]:
        """Names of the checkpoints of steps, oldest first, whole or not."""
        found = [name for name in filesystem.folders(self.folder) if re.fullmatch(r"step-\d{9,}", name)]
        return sorted(found, key=_step)

    def _tidy(self) -> None:
        """Finish or undo what was cut short."""
        for name in filesystem.folders(self.folder):
            if name.startswith(OLD) and not (self.folder / name.removeprefix(OLD)).exists():
                os.replace(self.folder / name, self.folder / name.removeprefix(OLD))  # its successor did not come
            elif name.startswith((NEW, OLD, GONE)):
                filesystem.remove(self.folder / name)

    def _write(self, name: str, step: int, tensors: dict[str, Tensor], facts: JsonObject) -> None:
        beside, final = self.folder / f"{NEW}{name}", self.folder / name
        try:
            beside.mkdir(parents=True)
            body = {"format": FORMAT, "step": step, "facts": facts, "tensors": _write_tensors(beside / TENSORS, tensors)}
            filesystem.write_bytes(beside / FACTS, _sealed(body))
            filesystem.fsync(beside)
            if final.exists():
                os.replace(final, self.folder / f"{OLD}{name}")
            os.replace(beside, final)
            filesystem.fsync(self.folder)
        finally:
            self._tidy()
        self._damaged.discard(name)

    def _prune(self, step: int) -> None:
        """Keep the newest up to ``step`` that are not known to be damaged."""
        sound = [name for name in self._names() if _step(name) <= step and name not in self._damaged]
        for name in set(self._names()) - set(sound[-self.keep :]):
            self._discard(name)

    def _discard(self, name: str) -> None:
        """Remove a checkpoint in one stroke, as seen from outside."""
        if (self.folder / name).exists():
            os.replace(self.folder / name, self.folder / f"{GONE}{name}")
            filesystem.remove(self.folder / f"{GONE}{name}")

    def _read(self, name: str) -> Checkpoint | None:
        try:
            return read(self.folder / name)
        except (OSError, ValueError) as error:
            if name not in self._damaged:
                log.warning("%s is passed over: %s", self.folder / name, error)
            self._damaged.add(name)
            return None


def read(folder: Path) -> Checkpoint:
    """The checkpoint in a folder; ValueError, saying why, where it is not whole or of another format; OSError where it cannot be read."""
    body = _opened(filesystem.read_bytes(folder / FACTS))
    file, written = folder / TENSORS, body["tensors"]
    if not is_intact(file, written["sha256"], written["bytes"]):
        raise ValueError(f"{TENSORS} is damaged (its size or digest differs)")
    try:
        return Checkpoint(body["step"], load_file(file), body["facts"])
    except SafetensorError as error:
        raise ValueError(f"{TENSORS} cannot be read: {error}") from error


def _sealed(body: JsonObject) -> bytes:
    """``body`` as JSON with its own digest in it."""
    body = json.loads(json.dumps(body))  # as it will be read: names of facts are strings then
    return json.dumps({**body, "sha256": _digest(body)}, indent=1).encode()


def _opened(data: bytes) -> JsonObject:
    """The body in what :func:`_sealed` gave; ValueError where it is another."""
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{FACTS} is damaged ({error})") from error
    if not isinstance(body, dict) or "format" not in body:
        raise ValueError(f"{FACTS} is damaged")
    if body["format"] != FORMAT:
        raise ValueError(f"it has format {body['format']}, and this version reads {FORMAT}")
    if body.pop("sha256", None) != _digest(body):
        raise ValueError(f"{FACTS} is damaged (its digest differs)")
    return body


def _digest(body: JsonObject) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> dict[str, str | int]:
    """Write a safetensors file, one tensor after the other; its digest and size.

    Its own writer, since the library's loses the errno of a full disk, or holds all of the file in memory.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # wide first: each is aligned then
    header, end = {}, 0
    for name in names:
        tensor = tensors[name]
        if tensor.dtype not in DTYPES:
            raise TypeError(f"{name}: {tensor.dtype} cannot be saved")
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    head = len(head).to_bytes(8, "little") + head
    digest, size = hashlib.sha256(), 0
    with filesystem.output_file(path) as file:
        for data in chain([memoryview(head)], (_bytes(tensors[name]) for name in names)):
            file.write(data)
            digest.update(data)
            size += data.nbytes
    return {"sha256": digest.hexdigest(), "bytes": size}


def _bytes(tensor: Tensor) -> memoryview:
    packed = tensor.detach().cpu().contiguous().as_strided((tensor.numel(),), (1,))  # flatten() may leave a stride, as of one number
    return memoryview(packed.view(torch.uint8).numpy())  # type: ignore[arg-type]


def _step(name: str) -> int:
    return int(name.removeprefix("step-"))


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
