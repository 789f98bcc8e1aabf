"""Writes the report of a study: ``report.html`` for people, ``summary.json`` and ``trials.csv`` for programs, figures as files."""

from pathlib import Path

from ulmfit.report.study_summary import StudySummary
from ulmfit.store.filesystem import write_bytes


def render_study(summary: StudySummary, folder: Path) -> None:
    """Write the report into ``folder``, which is there."""
    write_bytes(folder / "summary.json", summary.model_dump_json(indent=1).encode())
