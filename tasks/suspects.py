"""Lists of suspects in a workspace: the last one of each corpus, known by the bytes of its files, for the reports of that corpus."""

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from tasks.workspace import Workspace
from ulmfit.corpora.source import CorpusSource, fingerprint
from ulmfit.report.suspect_list import SuspectList
from ulmfit.store import filesystem
from ulmfit.store.filesystem import write_bytes


def keep_suspects(workspace: Workspace, source: CorpusSource, found: SuspectList) -> None:
    """Keep a list, in the place of an earlier one, where there is a workspace."""
    if workspace.root.is_dir():
        write_bytes(_file(workspace, source), found.model_dump_json(indent=1).encode())


def kept_suspects(workspace: Workspace, source: CorpusSource | None) -> SuspectList | None:
    """The list of a corpus whose files are as they were then; None where there is none."""
    if source is None or not workspace.suspects.is_dir():
        return None
    try:
        return SuspectList.model_validate_json(_file(workspace, source).read_bytes())
    except (OSError, ValidationError):
        return None


def clear_suspects(workspace: Workspace) -> None:
    """Remove all lists, as something is to be forgotten: they hold beginnings of texts, and are made again in seconds."""
    filesystem.remove(workspace.suspects)


def _file(workspace: Workspace, source: CorpusSource) -> Path:
    """Test rows and further text, which a run may have beside the corpus, do not concern it."""
    alone = replace(source, test=None, unlabelled=None, more=(), label_separator=None)
    return workspace.suspects / f"{fingerprint(alone, workspace.downloads)}.json"
