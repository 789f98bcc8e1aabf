"""A flow that notes each of its runs in a file, and works until it is told that it may end."""

import os
import time
from pathlib import Path

from prefect import flow
from pydantic import BaseModel


class CrashingRequest(BaseModel):
    """``folder``: where it notes its runs, and looks for a file ``end``."""

    folder: str
    note: str = ""


@flow(name="crashing")
def crashing(request: CrashingRequest) -> int:
    folder = Path(request.folder)
    with open(folder / "runs", "a") as file:
        file.write(f"{os.getpid()} {request.note}\n")
    while not (folder / "end").exists():
        time.sleep(0.2)
    return len((folder / "runs").read_text().splitlines())
