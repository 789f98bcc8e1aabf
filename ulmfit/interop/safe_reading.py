"""Files from others, read without running anything in them.

Weights come through torch's loader for tensors alone, or from safetensors. A vocabulary comes from JSON, or from a pickle
that may hold nothing but a list of strings: every opcode is looked at before the first is carried out.
"""

import io
import json
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ulmfit.errors import UserError
from ulmfit.interop.fastai import tensors_of, words_of

MAX_VOCABULARY = 16 * 2**20  # bytes of a file; 60,000 words take 1 MB
VOCABULARY_KEYS = ("vocab", "itos", "tokens")
TO_JSON = 'write the words as JSON: json.dump(list(words), open("vocab.json", "w"))'
TO_TENSORS = "save the weights alone: learn.save(name, with_opt=False)"

# The opcodes of a pickled list of strings. None of them looks anything up, calls anything or makes another object.
LIST_OF_STRINGS = {
    *("PROTO", "FRAME", "STOP", "MARK", "EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"),
}
# fastai's optimizer state holds these beside its tensors. They are replaced by empty objects.
OPTIMIZER_GLOBALS = ("fastcore.foundation.L", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a ``.pth`` or ``.safetensors`` file, by key. UserError where it is missing, damaged, or holds other things."""
    _check_is_file(path)
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_tensors(path)
    except MemoryError:
        raise
    except Exception as error:  # damage may raise anything
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds {refused[1]}, which is no tensor" if refused else f"damaged, or no weights ({type(error).__name__})"
        raise UserError(f"{path}: {reason}; {TO_TENSORS}") from error
    with naming(path):
        tensors = tensors_of(state)
    for name, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UserError(f"{path}: {name} claims more values than the file holds; {TO_TENSORS}")
    return tensors


def read_words(path: Path) -> list[str]:
    """The vocabulary in ``path``: a JSON list of strings, alone or under ``vocab`` or ``itos``, or the same list pickled (``.pkl``).

    UserError where the file is missing or holds anything else; nothing of such a file is run.
    """
    _check_is_file(path)
    if path.stat().st_size > MAX_VOCABULARY:
        raise UserError(f"{path}: larger than {MAX_VOCABULARY >> 20} MiB, which no vocabulary is; name the file with the words")
    readers = {".json": _from_json, ".pkl": _from_pickle, ".pickle": _from_pickle}
    if path.suffix not in readers:
        raise UserError(f"{path}: a vocabulary is a .json or a .pkl file; {TO_JSON}")
    with naming(path):
        return words_of(readers[path.suffix](path.read_bytes()))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A UserError inside names the file at fault."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}; name the file that fastai wrote")


class _Nothing:
    """Replaces an object of a file that is not needed, and ignores all that it is given."""

    def __init__(self, *given: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _load_tensors(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:  # torch writes its parts uncompressed, so they cannot be larger than the file
            if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                raise ValueError("its parts are larger than the file")
    with torch.serialization.safe_globals([(_Nothing, name) for name in OPTIMIZER_GLOBALS]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _from_json(data: bytes) -> Any:
    try:
        body = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON ({type(error).__name__}); {TO_JSON}") from error
    if isinstance(body, dict):
        body = next((body[key] for key in VOCABULARY_KEYS if key in body), body)
    if not isinstance(body, list):
        raise UserError(f"holds no list of words; {TO_JSON}")
    return body


class _StringsAlone(pickle.Unpickler):
    """The second safeguard: if a pickle names something after all, it is not looked up."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every name."""
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _from_pickle(data: bytes) -> Any:
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name not in LIST_OF_STRINGS:
                raise UserError(f"a pickle of more than a list of strings ({opcode.name}), which is not read for safety; {TO_JSON}")
            if "PUT" in opcode.name and not 0 <= int(argument or 0) <= len(data):  # the unpickler allocates room for that many objects
                raise UserError(f"a pickle that numbers its objects falsely, which is not read for safety; {TO_JSON}")
        body = _StringsAlone(io.BytesIO(data)).load()
    except UserError:
        raise
    except Exception as error:  # damage may raise anything
        raise UserError(f"not a pickle, or a damaged one ({type(error).__name__}); {TO_JSON}") from error
    if not isinstance(body, list):
        raise UserError(f"a pickle of {type(body).__name__}, not of a list; {TO_JSON}")
    return body
