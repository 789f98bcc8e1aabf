"""Whether a run has room, before its work begins: free disk and memory against an estimate from the sizes of text and models.

What is finished needs no room again and is not subtracted, so a shortage is a warning. A disk that is as good as full is refused.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from flows.request import PretrainRequest, StagesFields, TrainingRequest
from ulmfit.config import ModelConfig, VocabConfig
from ulmfit.corpora.catalog.entries import CATALOG
from ulmfit.corpora.source import CorpusSource
from ulmfit.errors import UserError
from ulmfit.store import filesystem

if TYPE_CHECKING:
    from flows.plan import Plan

log = logging.getLogger(__name__)

LEAST_FREE = 100 << 20  # bytes of disk, for databases, logs and reports
PER_TEXT = 3.5  # bytes on the disk per byte of text: what is read, the corpus, its tokens and its ids
PACKED, UNPACKED = (".gz", ".zst", ".bz2", ".xz", ".zip", ".parquet"), 4  # text in a byte of such files
STORED, TRAINED, CHECKPOINT = 4, 16, 12  # bytes of a weight: finished; with gradient and Adam's moments; without the gradient
CHECKPOINTS = 3  # the last two and the best, while a stage trains


def check_room(plan: Plan) -> None:
    """Warn where disk or memory look too small for the plan; UserError where the disk is as good as full."""
    folder = plan.workspace.store.local
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise UserError(f"{folder}: {_size(free)} of disk are free, and a run needs {_size(LEAST_FREE)} at least; free some space")
    needed = disk_needed(plan)
    if free < needed:
        log.warning("%s: %s of disk are free; a run from the start may need %s", folder, _size(free), _size(needed))
    available, needed = available_memory(), memory_needed(plan)
    if available < needed:
        log.warning("%s of memory are available; the training needs %s and more", _size(available), _size(needed))


def disk_needed(plan: Plan) -> int:
    """Bytes that a run from the start writes at most into a local store; text of named corpora is not counted, for it is not here yet."""
    text = 0 if plan.workspace.store.remote else sum(map(text_bytes, filter(None, (plan.domain, plan.general))))
    stages = 1 if isinstance(plan.request, PretrainRequest) else 3  # pretrained or given, fine-tuned, classifier
    return int(PER_TEXT * text) + _trained_weights(plan) * (CHECKPOINTS * CHECKPOINT + stages * STORED)


def memory_needed(plan: Plan) -> int:
    """Bytes that the weights of the directions need while they train here; a step's activations come on top. On GPUs and pools none are here."""
    elsewhere = isinstance(plan.request, StagesFields) and plan.request.stages == "distributed"
    return 0 if elsewhere or plan.placement.device.startswith("cuda") else _trained_weights(plan) * TRAINED


def text_bytes(source: CorpusSource) -> int:
    """The size of a source's text, about; 0 for corpora of the catalog."""
    total = 0
    for _, location, _ in source.locations():
        if location not in CATALOG:
            sizes = filesystem.files(location) or {location: filesystem.size(location)}
            total += sum(size * (UNPACKED if name.lower().endswith(PACKED) else 1) for name, size in sizes.items())
    return total


def available_memory() -> int:
    """Bytes that this process may still take: of the machine, or of its container where that has less."""
    available = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        limit, used = (int(Path("/sys/fs/cgroup", f"memory.{name}").read_text()) for name in ("max", "current"))
        available = min(available, max(0, limit - used))
    return available


def weights(model: ModelConfig, words: int) -> int:
    """The number of weights of a language model: the embedding, which the decoder shares, the LSTM layers, and the decoder's bias."""
    sizes = [model.embedding, *[model.hidden] * (model.layers - 1), model.embedding]
    layers = sum(4 * output * (given + output + 2) for given, output in pairwise(sizes))
    return words * (model.embedding + 1) + layers


def _trained_weights(plan: Plan) -> int:
    """Of all directions, which train side by side; with the largest vocabulary that the text may have."""
    if not isinstance(plan.request, TrainingRequest):
        return 0
    settings = plan.settings
    vocabulary: VocabConfig = settings.general_vocab if isinstance(plan.request, PretrainRequest) else settings.vocab
    read = vocabulary.max_size if settings.general_words else sum(map(text_bytes, filter(None, (plan.domain, plan.general))))
    words = min(vocabulary.max_size, read or vocabulary.max_size)
    return len(plan.request.trained_directions()) * weights(settings.model, words)


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
