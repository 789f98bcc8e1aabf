"""``ulmfit doctor``: what will go wrong, told before it does; each finding with its remedy."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version
from rich.console import Console
from rich.table import Table

from tasks.workspace import Workspace
from ulmfit.errors import UserError
from ulmfit.store.artifacts import damaged

LOW_DISK = 5 << 30  # bytes


@dataclass(frozen=True)
class Finding:
    """``level``: ok, warning or error."""

    level: str
    subject: str
    fact: str
    remedy: str = ""


def examine(workspace: str | None) -> list[Finding]:
    """All findings, in the order: libraries, environment, device, workspace."""
    return [*_libraries(), *_environment(), *_device(), *_workspace(workspace)]


def _libraries() -> Iterator[Finding]:
    """Installed versions against what the project declares, and those that are known not to go together."""
    wrong = 0
    for text in metadata.requires("ulmfit") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "workflow"}):
            continue
        installed = _installed(requirement.name)
        if installed is None:
            wrong += 1
            yield Finding("error", requirement.name, "not installed", "make install")
        elif installed not in requirement.specifier:
            wrong += 1
            yield Finding("error", requirement.name, f"{installed}, but {requirement.specifier} is needed", f"pip install '{requirement}'")
    if not wrong:
        yield Finding("ok", "libraries", "all that the project needs are installed, in versions that go together")


def _installed(name: str) -> Version | None:
    try:
        return Version(metadata.version(name))
    except metadata.PackageNotFoundError:
        return None


def _environment() -> Iterator[Finding]:
    if os.environ.get("PREFECT_API_URL"):
        yield Finding("ok", "Prefect", f"uses the server at {os.environ['PREFECT_API_URL']}")
    data = os.environ.get("ULMFIT_DATA")
    if data and not Path(data).is_dir():
        yield Finding("error", "ULMFIT_DATA", f"names {data}, which is no folder", "unset it, or name the folder that holds the corpora")


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            bf16 = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
            yield Finding("ok", f"GPU {number}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}")
    else:
        features = torch.backends.cpu.get_cpu_capability()
        yield Finding("ok", "CPU", f"{os.cpu_count()} cores, {features}; training runs in fp32, the two directions side by side")
        if shutil.which("nvidia-smi"):
            yield Finding("warning", "GPU", "the machine has one, but this torch does not see it", "install a CUDA build of torch")
    if (os.cpu_count() or 1) < 2:
        yield Finding("warning", "CPU", "one core: the directions train one after the other", "give the machine a second core")


def _workspace(root: str | None) -> Iterator[Finding]:
    try:
        workspace = Workspace.open(root)
    except UserError as error:
        yield Finding("error", "workspace", str(error), "choose another with --workspace, or mend its permissions")
        return
    free = shutil.disk_usage(workspace.root).free
    level = "warning" if free < LOW_DISK else "ok"
    yield Finding(level, "disk", f"{free / 2**30:.1f} GiB free at {workspace.root}", "free some space" if level == "warning" else "")
    yield from _artifacts(workspace)
    yield from _tracking(workspace)


def _artifacts(workspace: Workspace) -> Iterator[Finding]:
    artifacts = list(workspace.store.all())
    bad = [(artifact, files) for artifact in artifacts if (files := damaged(artifact))]
    for artifact, files in bad:
        yield Finding(
            "warning", f"{artifact.kind} {artifact.key[:12]}", f"damaged: {', '.join(files[:3])}", "run the job again: it is made anew"
        )
    total = sum(artifact.bytes for artifact in artifacts)
    if not bad:
        yield Finding("ok", "artifacts", f"{len(artifacts)} finished, {total / 2**20:.0f} MiB, every digest holds")
    unfinished = [path.name[:12] for path in (workspace.store.local / ".work").iterdir()]
    if unfinished:
        yield Finding("ok", "unfinished work", f"{len(unfinished)} artifacts were begun; the next run goes on with them")


def _tracking(workspace: Workspace) -> Iterator[Finding]:
    database = workspace.root / "mlflow.db"
    if workspace.tracking_uri != f"sqlite:///{database}":
        yield Finding("ok", "tracking", f"MLflow at {workspace.tracking_uri}")
    elif database.exists():
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                answer = connection.execute("pragma quick_check").fetchone()[0]
        except sqlite3.DatabaseError as error:
            answer = str(error)
        if answer == "ok":
            yield Finding("ok", "tracking", f"{database} is sound")
        else:
            yield Finding(
                "error", "tracking", f"{database}: {answer}", "move the file away; artifacts are kept, and the next run starts a new one"
            )


def show(findings: list[Finding]) -> None:
    """The findings as a table."""
    table = Table("", "what", "finding", "remedy", box=None, pad_edge=False)
    marks = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "error": "[red]error[/]"}
    for finding in findings:
        table.add_row(marks[finding.level], finding.subject, finding.fact, finding.remedy)
    Console().print(table)
