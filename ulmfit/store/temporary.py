"""Temporary folders, in TMPDIR; a full or missing one is told in one line."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ulmfit.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder that is removed at the end. All that the block writes should be in it: UserError where its disk is full."""
    with temporary_space(), tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def temporary_space() -> Iterator[None]:
    """Turn the errors of a block that writes temporary files into one line: a full disk, or no folder for them at all."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # libraries wrap the system's error, and keep its words
        if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
            raise UserError(f"there is no folder for temporary files ({error}); name one with free space in TMPDIR") from error
        if not (isinstance(error, OSError) and error.errno in FULL) and not any(os.strerror(number) in str(error) for number in FULL):
            raise
        raise UserError(f"{tempfile.gettempdir()}: no space is left for temporary files; free some, or name another in TMPDIR") from error
