"""Predictions kept beside an output that is not finished: the same command, killed and run again, goes on where it was.

What is kept of a piece of the input is named by the digest of its texts and of the model, so it is found again where both are the same.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ulmfit.prediction.explanation import Explanation
from ulmfit.prediction.familiar import Strangeness
from ulmfit.store import filesystem

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """What is predicted of some texts together: ``probabilities`` [N, L], and ``explanations`` and ``strange`` [N] if they were asked for."""

    probabilities: list[list[float]]
    explanations: list[Explanation] | None = None
    strange: list[Strangeness] | None = None


PIECE: TypeAdapter[Piece] = TypeAdapter(Piece)


@dataclass(frozen=True)
class Kept:
    """Pieces in ``folder``; ``work`` names all that decides about a prediction besides the texts."""

    folder: Path
    work: str

    def find(self, texts: Sequence[str]) -> Piece | None:
        """What was kept of these texts; None where nothing was, or it is damaged."""
        try:
            return PIECE.validate_json(self._file(texts).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def keep(self, texts: Sequence[str], piece: Piece) -> None:
        """Keep what is predicted of these texts. OSError where the disk is full."""
        filesystem.write_bytes(self._file(texts), PIECE.dump_json(piece))

    def _file(self, texts: Sequence[str]) -> Path:
        named = json.dumps([self.work, *texts]).encode()
        return self.folder / f"{hashlib.sha256(named).hexdigest()}.json"


@contextmanager
def kept_beside(output: str, work: str) -> Iterator[Kept | None]:
    """What is kept beside ``output`` until the block has ended well; None where that is not local."""
    if filesystem.is_remote(output):
        yield None
        return
    target = filesystem.absolute(output)
    folder = target.with_name(f".{target.name}.unfinished")
    if folder.is_dir():
        log.info("what was predicted before is in %s and is not predicted again", folder)
    yield Kept(folder, work)
    shutil.rmtree(folder, ignore_errors=True)
