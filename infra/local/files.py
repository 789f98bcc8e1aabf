"""Files that nobody else may read."""

import os
import secrets
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write ``file`` whole or not at all, with mode 600 from its first byte on."""
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    beside.rename(file)
