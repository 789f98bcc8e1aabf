"""``ulmfit doctor``: checks of libraries, the device and the workspace; each finding comes with its remedy."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.options import AsJson, WorkspaceDir, print_json
from ulmfit.errors import UserError
from ulmfit.store import filesystem

if TYPE_CHECKING:
    from tasks.workspace import Workspace

LOW_DISK = 5 << 30  # bytes
STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


@dataclass(frozen=True)
class Finding:
    """One fact about the installation or the workspace."""

    level: Literal["ok", "warning", "error"]
    subject: str
    fact: str
    remedy: str = ""


def doctor(workspace: WorkspaceDir = None, as_json: AsJson = False) -> None:
    """Look for what will go wrong: versions, missing parts, the device, the workspace; each finding with its remedy."""
    findings = [*_libraries(), *_environment(), *_device(), *_workspace(workspace)]
    Console().print(finding_table(findings))
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


def finding_table(findings: list[Finding]) -> Table:
    """The findings for the terminal. Their words are shown as they are, never read as markup."""
    table = Table("", "what", "finding", "remedy", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(Text(finding.level, STYLES[finding.level]), *map(Text, (finding.subject, finding.fact, finding.remedy)))
    return table


def _libraries() -> Iterator[Finding]:
    """Installed versions against those that the project declares."""
    declared = map(Requirement, metadata.requires("ulmfit") or [])
    needed = [one for one in declared if one.marker is None or one.marker.evaluate({"extra": "workflow"})]
    good = Finding("ok", "libraries", "everything that the project needs is installed, in versions that work together")
    yield from [finding for finding in map(_fault, needed) if finding] or [good]


def _fault(requirement: Requirement) -> Finding | None:
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding("error", requirement.name, "not installed", "make install")
    if installed in requirement.specifier:
        return None
    return Finding("error", requirement.name, f"{installed}, but {requirement.specifier} is needed", f"pip install '{requirement}'")


def _environment() -> Iterator[Finding]:
    data = os.environ.get("ULMFIT_DATA")
    if data and not Path(data).is_dir():
        yield Finding("error", "ULMFIT_DATA", f"names {data}, which is not a folder", "unset it, or name the folder that holds the corpora")
    from tasks.notices import check_address

    yield from _asked("notices", check_address)


def _device() -> Iterator[Finding]:
    import torch

    from ulmfit.compute.cores import cores

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            bf16 = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
            yield Finding("ok", f"GPU {number}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}")
    else:
        features = torch.backends.cpu.get_cpu_capability()
        yield Finding("ok", "CPU", f"{cores()} cores, {features}; the two directions train side by side")
        if shutil.which("nvidia-smi"):
            yield Finding("warning", "GPU", "the machine has one, but this torch does not see it", "install a CUDA build of torch")
    if cores() < 2:
        yield Finding("warning", "CPU", "one core: the directions train one after the other", "give the machine a second core")


def _workspace(root: str | None) -> Iterator[Finding]:
    from tasks.workspace import Workspace

    try:
        workspace, writable = Workspace.open(root), True
    except UserError as error:
        workspace, writable = Workspace.named(root), False
        remedy = "choose another with --workspace, or correct its permissions"
        if not workspace.database.is_file():
            yield Finding("error", "workspace", str(error), remedy)
            return
        yield Finding("warning", "workspace", f"can only be read, by predict and lineage: {error}", f"to train, {remedy}")
    free = shutil.disk_usage(workspace.root).free
    fact = f"{free / 2**30:.1f} GiB free at {workspace.root}"
    yield Finding("warning", "disk", fact, "free some space") if free < LOW_DISK else Finding("ok", "disk", fact)
    yield from _artifacts(workspace)
    yield from _tracking(workspace, writable)
    yield from unsent(workspace)
    yield from _prefect(workspace, writable)


def _artifacts(workspace: Workspace) -> Iterator[Finding]:
    from ulmfit.store.artifacts import damaged

    artifacts = list(workspace.store.all())
    bad = {f"{artifact.kind} {artifact.key[:12]}": files for artifact in artifacts if (files := damaged(artifact))}
    for name, files in bad.items():
        yield Finding("warning", name, f"damaged: {', '.join(files[:3])}", "run the command again: it is rebuilt")
    if not bad:
        size = sum(artifact.bytes for artifact in artifacts) / 2**20
        checked = "names and sizes are correct" if workspace.store.remote else "every digest is correct"
        yield Finding("ok", "artifacts", f"{len(artifacts)} finished, {size:.0f} MiB, {checked}")
    unfinished = filesystem.folders(workspace.store.local / ".work")
    if unfinished:
        yield Finding("ok", "unfinished work", f"{len(unfinished)} artifacts were begun; the next run continues them")


def _tracking(workspace: Workspace, writable: bool) -> Iterator[Finding]:
    from tasks.servers import check_tracking, without_password

    found = Finding("ok", "tracking", f"MLflow at {without_password(workspace.tracking_uri)}")
    if workspace.tracks_itself:
        if not workspace.database.exists():
            return
        found = _database("tracking", workspace.database, "move the file away; artifacts are kept, and the next run starts a new one")
    faults = [found] if found.level == "error" else list(_asked("tracking", lambda: check_tracking(workspace)))
    yield from faults or [found]
    if not faults:
        yield from _experiments(workspace, writable)


def unsent(workspace: Workspace) -> Iterator[Finding]:
    """What runs could not tell MLflow."""
    from tasks.outbox import REFUSED, kept

    if waiting := kept(workspace.outbox):
        yield Finding("warning", "tracking", f"{waiting} entries about runs are not sent yet", "the next run sends them, or: ulmfit send")
    for file in sorted(workspace.outbox.glob(f"*/{REFUSED}")):
        yield Finding("warning", "tracking", f"MLflow refused what is in {file}", "look at it, then remove the file")


def _experiments(workspace: Workspace, writable: bool) -> Iterator[Finding]:
    from tasks.relocation import settle
    from tasks.tracking import deleted_experiments

    for fact, remedy in deleted_experiments(workspace):
        yield Finding("warning", "tracking", fact, remedy)
    if writable and workspace.tracks_itself:
        for before in settle(workspace):
            yield Finding("ok", "moved", f"the workspace was at {Path(before).parent}; MLflow's records name this one now")


def _asked(subject: str, question: Callable[[], None]) -> Iterator[Finding]:
    """What a question that a run asks first finds at fault."""
    try:
        question()
    except UserError as error:
        fact, _, remedy = str(error).partition("; ")
        yield Finding("error", subject, fact, remedy)


def _prefect(workspace: Workspace, writable: bool) -> Iterator[Finding]:
    from cli.prefect_server import check_prefect

    address = os.environ.get("PREFECT_API_URL")
    if not writable:
        return
    if address:
        from tasks.servers import without_password

        fine = Finding("ok", "Prefect", f"uses the server at {without_password(address)}")
        yield from [*_asked("Prefect", lambda: check_prefect(workspace))] or [fine]
    elif workspace.prefect_database.exists():
        yield _database("Prefect", workspace.prefect_database, "move the file away; the next run starts a new one")


def _database(subject: str, file: Path, remedy: str) -> Finding:
    """Whether a SQLite database is intact. It is opened by its path, as the run does, and only read."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            answer = str(connection.execute("pragma quick_check").fetchone()[0])
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer == "ok":
        return Finding("ok", subject, f"{file} is intact")
    return Finding("error", subject, f"{file}: {answer}", remedy)
